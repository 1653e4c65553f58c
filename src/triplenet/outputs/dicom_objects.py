"""What all DICOM objects of a result have in common: whose they are, who made them, their UIDs, what they refer to.

Each is made by highdicom from :func:`references` and :func:`arguments`, and finished by :func:`finish`, which alone
decides the attributes of patient, study, series and equipment. UIDs follow from the scan, the model and the settings:
a second run gives the same ones, and equal objects but for times.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from triplenet import __version__
from triplenet.errors import BadModel, MissingExtra, NotDicom
from triplenet.inference.result import ModelInfo, Result
from triplenet.inference.source_instances import SourceInstances, is_enhanced
from triplenet.outputs.long_string import long_string
from triplenet.outputs.own_grid import own_geometry
from triplenet.outputs.source_modules import copy_modules, put, without_modules
from triplenet.scan import Geometry

MANUFACTURER = "triplenet"
RESEARCH = "Research use only"
UTF_8 = "ISO_IR 192"
PROCESSING = ("109102", "DCM", "Processing Equipment")
ACQUISITION = ("109101", "DCM", "Acquisition Equipment")
_MOST_SERIES = 10**7
"""A number of nine digits is the longest that always fits into an integer string (PS3.5 6.2)"""
_ACQUIRED_BY = (
    "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "StationName",
    "InstitutionName", "InstitutionalDepartmentName",
)  # fmt: skip


@dataclass(frozen=True)
class ObjectKind:
    """One kind of object, which has a series of its own."""

    name: str
    """Of the output, as it is asked for"""
    number: int
    """From 1 to 99: of its series, after the source's"""
    title: str
    """What it shows, a few words"""


@dataclass(frozen=True)
class Producer:
    """Who made the objects; the same values stand in each of them, and in the report."""

    model_name: str
    """The method"""
    software_versions: tuple[str, str]
    """Of the package, and the SHA-256 of the model"""
    device_uid: str
    """Derived from that SHA-256: another model has another one"""
    manufacturer: str = MANUFACTURER

    @property
    def device_serial_number(self) -> str:
        """The SHA-256 of the model."""
        return self.software_versions[1]


def producer(model: ModelInfo) -> Producer:
    """Who made the objects of a result by this model.

    :raises BadModel: the model has no hash
    """
    digest = model.file_sha256 or model.tensors_sha256
    if digest is None:
        raise BadModel("a model without a hash, which DICOM objects have to name", do="save it, and use the file")
    return Producer(long_string(model.method), (__version__, digest), uid("device", digest))


def uid(*parts: object) -> str:
    """A UID of the root 2.25 (PS3.5 B.2) that follows from the parts: a name-based UUID (RFC 4122) as a number."""
    return f"2.25.{uuid5(NAMESPACE_OID, ' '.join(('triplenet', *map(str, parts)))).int}"


def instances_of(result: Result) -> SourceInstances:
    """The result's DICOM instances.

    :raises NotDicom: it has none
    """
    if result.instances is None:
        raise NotDicom(
            "the result does not hold the headers of a DICOM scan",
            do="give a DICOM series, and to predict what outputs.needed_by says",
        )
    return result.instances


def series_uid(result: Result, kind: ObjectKind) -> str:
    """Of the series of one kind of object."""
    return uid("series", kind.name, *_identity(result))


def object_uid(result: Result, kind: ObjectKind, number: int = 1) -> str:
    """Of one object.

    :param number: within its series, from 1
    """
    return uid("instance", kind.name, number, *_identity(result))


def tracking(result: Result, segment: str) -> tuple[str, str]:
    """Tracking identifier and UID of a segment, the same wherever it is spoken of.

    :param segment: ``infection`` or ``lung``
    """
    return f"triplenet {segment}", uid("tracking", segment, *_identity(result))


def _identity(result: Result) -> tuple[str, ...]:
    """What an object's UIDs follow from: the frames of the source, the model, and the settings."""
    instances = instances_of(result)
    first = instances.headers[0]
    names = (str(header.SOPInstanceUID) for header in instances.headers)
    numbers = (str(frame.number) for frame in instances.frames)
    frames = uid("frames", *names, *numbers)
    return (
        str(first.SeriesInstanceUID),
        frames,
        producer(result.record.model).software_versions[1],
        instances.settings_sha256,
    )


def references(result: Result) -> tuple[Dataset, ...]:
    """The headers as highdicom takes them for its source images: without identities, and with one geometry.

    Slices that differ in the last digit of their orientation have the first one's here, those of an enhanced CT share
    theirs. :func:`place_frames` puts the exact references in.

    :raises NotDicom: the result is of no DICOM scan, or that lies in no frame of reference
    """
    instances = instances_of(result)
    first = instances.headers[0]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        if not first.get(keyword):
            raise NotDicom(f"the scan's headers have no {keyword}, without which no object can refer to it")
    shared = plane_of(own_geometry(result), 0)
    plain = []
    for z, header in enumerate(instances.headers):
        one = without_modules(header)
        if is_enhanced(one):
            _share_geometry(one, shared, thickness_mm(result))
        else:
            put(one, "ImageOrientationPatient", list(shared.orientation))
            put(one, "ImagePositionPatient", list(source_position(result, z)))
            put(one, "PixelSpacing", list(shared.spacing_mm))
            put(one, "SliceThickness", thickness_mm(result))
            one.pop("SpacingBetweenSlices", None)
        plain.append(one)
    return tuple(plain)


@dataclass(frozen=True)
class Plane:
    """Where a frame lies, as DICOM writes it."""

    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    """Along a row, and along a column"""
    spacing_mm: tuple[float, float]
    """Between rows, and between columns"""


def plane_of(geometry: Geometry, z: int) -> Plane:
    """Of slice ``z``; numbers of no more digits than DICOM's decimal strings have."""
    across, down = (geometry.affine[:3, axis] / np.linalg.norm(geometry.affine[:3, axis]) for axis in (2, 1))
    _, row_mm, column_mm = geometry.spacing_mm
    x, y, height = (_decimal(value) for value in geometry.world((z, 0, 0)))
    cosines = [_decimal(value) for value in (*across, *down)]
    return Plane((x, y, height), tuple(cosines), (_decimal(row_mm), _decimal(column_mm)))  # type: ignore[arg-type]


def source_position(result: Result, z: int) -> tuple[float, float, float]:
    """Position of slice ``z`` of the scan's own order, mm, exactly as its header has it."""
    levels = levels_of(result, z, "PlanePositionSequence")
    return _position(next(level for level in levels if "ImagePositionPatient" in level))


def levels_of(result: Result, z: int, group: str) -> list[Dataset]:
    """Where attributes of slice ``z`` of the scan's own order may stand, the nearest first; at last its header.

    :param group: keyword of the functional group that they have in an object of several frames
    """
    instances = instances_of(result)
    header = instances.headers[z if len(instances.headers) > 1 else 0]
    if not is_enhanced(header):
        return [header]
    frame = header.PerFrameFunctionalGroupsSequence[instances.frames[z].number - 1]
    groups = (frame, *header.get("SharedFunctionalGroupsSequence", ()))
    return [*(item for one in groups for item in one.get(group, ())), header]


def nearest(positions: npt.NDArray[np.float64], place: Dataset) -> int:
    """Which of the positions (N, 3), mm, is nearest to that of a plane."""
    return int(np.linalg.norm(positions - _position(place), axis=1).argmin())


def _position(item: Dataset) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in item.ImagePositionPatient)
    return x, y, z


def thickness_mm(result: Result) -> float:
    """Of a slice, by the header, else the distance between slices."""
    told = result.record.scan.slice_thickness_mm
    return _decimal(told if told and told > 0 else own_geometry(result).spacing_mm[0])


def arguments(result: Result, kind: ObjectKind, number: int = 1) -> dict[str, Any]:
    """The arguments that every object of highdicom takes, by name.

    :param number: of the object within its series, from 1
    """
    made_by = producer(result.record.model)
    told = str(instances_of(result).headers[0].get("SeriesNumber"))
    return {
        "series_instance_uid": series_uid(result, kind),
        "series_number": 100 * (int(told) % _MOST_SERIES if told.isdecimal() else 0) + kind.number,
        "sop_instance_uid": object_uid(result, kind, number),
        "instance_number": number,
        "manufacturer": made_by.manufacturer,
        "manufacturer_model_name": made_by.model_name,
        "software_versions": list(made_by.software_versions),
        "device_serial_number": made_by.device_serial_number,
        "series_description": long_string(made_by.model_name, before=f"{kind.title} (", after=f"). {RESEARCH}"),
    }


def finish(made: Dataset, result: Result, kind: ObjectKind) -> None:
    """Give an object the modules of patient, study, trial and equipment, as all objects of the result have them."""
    source, made_by = instances_of(result).headers[0], producer(result.record.model)
    copy_modules(made, source)
    _set_character_set(made, result)
    made.Manufacturer = made_by.manufacturer
    made.ManufacturerModelName = made_by.model_name
    made.SoftwareVersions = list(made_by.software_versions)
    made.DeviceSerialNumber = made_by.device_serial_number
    made.DeviceUID = made_by.device_uid
    made.SeriesDescription = arguments(result, kind)["series_description"]
    made.ContributingEquipmentSequence = [*_acquisition(source), _processing(made_by)]
    if "DimensionOrganizationSequence" in made:  # highdicom draws one at random
        organisation = uid("dimensions", made.SOPInstanceUID)
        for item in (*made.DimensionOrganizationSequence, *made.get("DimensionIndexSequence", ())):
            item.DimensionOrganizationUID = organisation


def place_frames(made: Dataset, result: Result) -> None:
    """Let each frame of an object that lies on a slice of the source refer to exactly that, and say how slices lie.

    highdicom looks for the slice by its position, which several time points of an enhanced CT share, and takes the
    spacing from the frames that there are.
    """
    geometry = own_geometry(result)
    (shared,) = made.SharedFunctionalGroupsSequence
    (measures,) = shared.PixelMeasuresSequence
    put(measures, "SliceThickness", thickness_mm(result))
    if geometry.is_even:
        put(measures, "SpacingBetweenSlices", _decimal(geometry.spacing_mm[0]))
    elif "SpacingBetweenSlices" in measures:
        del measures.SpacingBetweenSlices
    positions = np.array([source_position(result, z) for z in range(geometry.shape[0])])
    for frame in made.PerFrameFunctionalGroupsSequence:
        (place,) = frame.PlanePositionSequence
        z = nearest(positions, place)
        place.ImagePositionPatient = positions[z].tolist()
        (derivation,) = frame.DerivationImageSequence
        derivation.SourceImageSequence = [_source_image(result, z)]


def source_reference(result: Result, z: int) -> Dataset:
    """An item that refers to the instance that slice ``z`` of the scan's own order is, or to the frame of it."""
    instances = instances_of(result)
    header = instances.headers[z if len(instances.headers) > 1 else 0]
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    if is_enhanced(header):
        item.ReferencedFrameNumber = instances.frames[z].number
    return item


def write_object(made: Dataset, path: Path) -> None:
    """Write it as a DICOM file."""
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(path, enforce_file_format=True)


def import_highdicom() -> Any:
    """The library that makes the objects.

    :raises MissingExtra: it is not installed
    """
    try:
        import highdicom
    except ImportError as error:
        raise MissingExtra("highdicom is not installed", do="pip install 'triplenet[dicom]'") from error
    return highdicom


def coded(code: tuple[str, str, str]) -> Dataset:
    """An item of a code sequence: value, scheme, meaning."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def _set_character_set(made: Dataset, result: Result) -> None:
    """The source's, so that a name is the same bytes in all objects of a study; UTF-8 where our own words need it."""
    words = (result.record.model.method, *(one.name for one in result.record.classes))
    told = instances_of(result).headers[0].get("SpecificCharacterSet")
    if not all(word.isascii() for word in words):
        told = UTF_8
    if told:
        made.SpecificCharacterSet = told
    elif "SpecificCharacterSet" in made:
        del made.SpecificCharacterSet


def _source_image(result: Result, z: int) -> Dataset:
    item = source_reference(result, z)
    item.SpatialLocationsPreserved = "YES"
    item.PurposeOfReferenceCodeSequence = [coded(("121322", "DCM", "Source image for image processing operation"))]
    return item


def _processing(made_by: Producer) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [coded(PROCESSING)]
    item.Manufacturer = made_by.manufacturer
    item.ManufacturerModelName = made_by.model_name
    item.SoftwareVersions = list(made_by.software_versions)
    item.DeviceSerialNumber = made_by.device_serial_number
    item.DeviceUID = made_by.device_uid
    item.ContributionDescription = f"Classification and visual explanation. {RESEARCH}"
    return item


def _acquisition(source: Dataset) -> list[Dataset]:
    """What the scan was made with, where the source tells who made that."""
    if not source.get("Manufacturer"):
        return []
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [coded(ACQUISITION)]
    for keyword in _ACQUIRED_BY:
        if source.get(keyword):
            put(item, keyword, source[keyword].value)
    return [item]


def _share_geometry(header: Dataset, plane: Plane, thick_mm: float) -> None:
    """Let an enhanced CT's frames share orientation and measures; those of no slice keep the place they have."""
    shared = Dataset()
    for told in header.get("SharedFunctionalGroupsSequence", ()):
        shared.update(told)
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = list(plane.orientation)
    measures.PixelSpacing, measures.SliceThickness = list(plane.spacing_mm), thick_mm
    put(shared, "PlaneOrientationSequence", [orientation])
    put(shared, "PixelMeasuresSequence", [measures])
    put(header, "SharedFunctionalGroupsSequence", [shared])


def _decimal(value: float) -> float:
    """A number that a decimal string of 16 characters holds."""
    return round(float(value), 6)
