"""Series of the same chest as scanners, archives and people write them; no slice is like another."""

from __future__ import annotations

import numpy as np
import pydicom

from outputs.dicom_results import HEADER, chest_hu, enhanced_source, source
from toy_model import MARKED_HU
from triplenet.outputs.dicom_objects import coded
from triplenet.outputs.source_modules import TYPE_2

#: Row and column of the patient's left lung's middle, where the chest of these tests has its lesion.
LESION = (40, 28, 5)


def marked(*slices: int, size: tuple[int, int] = (96, 96), depth: int = 6) -> np.ndarray:
    """(Z, Y, X) HU: lesions on these slices, each of another size; every slice differs from every other."""
    hu = np.concatenate([chest_hu(lesion=None)] * -(-depth // 6))[:depth]
    y, x = np.mgrid[0:96, 0:96]
    for z in range(depth):
        hu[z, 3:5, 3 + 2 * z : 5 + 2 * z] = 300 + 10 * z
    for z in slices:
        row, column, radius = LESION
        hu[z][(y - row) ** 2 + (x - column) ** 2 < (radius + z) ** 2] = MARKED_HU
    rows, columns = size
    return hu[:, :rows, :columns]


LOSSY = {"LossyImageCompression": "01"}
COSINE, SINE = np.cos(np.radians(12.0)), np.sin(np.radians(12.0))


def axial(folder, hu, **options):
    return source(folder, hu, **options)


def feet_first(folder, hu):
    return axial(folder, hu, PatientPosition="FFS", across=(-1, 0, 0), step=(0, 0, -4.0))


def tilted(folder, hu):
    """The gantry is tilted: the slices are, and the table moves along z."""
    return source(folder, hu, down=(0, COSINE, -SINE), step=(0, 0, 4.0))


def uneven(folder, hu):
    """The fourth slice is not there."""
    paths = source(folder, hu)
    gone = [path for path in paths if pydicom.dcmread(path).ImagePositionPatient[2] == -300.25 + 3 * 4.0]
    gone[0].unlink()
    return [path for path in paths if path not in gone]


def compressed(folder, hu):
    paths = source(folder, hu)
    for path in paths:
        one = pydicom.dcmread(path)
        one.compress(pydicom.uid.JPEG2000Lossless, generate_instance_uid=False)
        one.save_as(path)
    return paths


def rounded(folder, hu):
    """The orientation's last digit differs from slice to slice."""
    paths = source(folder, hu)
    for number, path in enumerate(paths):
        one = pydicom.dcmread(path)
        one.ImageOrientationPatient = [1, 0, number * 1e-6, 0, 1, 0]
        one.save_as(path)
    return paths


def sagittal(folder, hu):
    """The same chest in slices from the right to the left."""
    return source(
        folder,
        np.ascontiguousarray(hu[::-1].transpose(2, 0, 1)),
        across=(0, 1, 0),
        down=(0, 0, -1),
        step=(4.0, 0, 0),
        origin=(-190.0, -180.5, -300.25 + 4.0 * (len(hu) - 1)),
    )


def nothing_shared(folder, hu):
    """An enhanced object whose frames each have an orientation and measures of their own."""
    path = enhanced_source(folder, hu, order=[3, 0, 5, 1, 4, 2])
    one = pydicom.dcmread(path)
    (shared,) = one.SharedFunctionalGroupsSequence
    for frame in one.PerFrameFunctionalGroupsSequence:
        frame.update(shared)
    one.SharedFunctionalGroupsSequence = []
    one.save_as(path)
    return [path]


SOURCES = {
    "plain": (axial, {}),
    "prone": (lambda folder, hu: axial(folder, hu[:, ::-1, ::-1], across=(-1, 0, 0), down=(0, -1, 0)), {}),
    "feet first": (
        lambda folder, hu: axial(folder, hu, PatientPosition="FFS", across=(-1, 0, 0), step=(0, 0, -4.0)),
        {},
    ),
    "tilted": (tilted, {}),
    "oblique": (lambda folder, hu: axial(folder, hu, across=(COSINE, SINE, 0), down=(-SINE, COSINE, 0)), {}),
    "columns not a multiple of 8": (lambda folder, hu: axial(folder, hu[:, :, :93]), {}),
    "uneven": (uneven, {"allow_gaps": True}),
    "one slice": (lambda folder, hu: axial(folder, hu[2:3]), {}),
    "implicit": (lambda folder, hu: axial(folder, hu, syntax="1.2.840.10008.1.2"), {}),
    "big endian": (lambda folder, hu: axial(folder, hu, syntax="1.2.840.10008.1.2.2"), {}),
    "jpeg 2000": (compressed, {}),
    "rounded": (rounded, {}),
    "one frame each": (lambda folder, hu: axial(folder, hu, NumberOfFrames=1), {}),
    "compressed with loss": (lambda folder, hu: axial(folder, hu, **LOSSY), {}),
    "nothing shared": (nothing_shared, {}),
    "sagittal": (sagittal, {"series": "1.2.826.0.1.3680043.8.498.1"}),
    "enhanced": (lambda folder, hu: [enhanced_source(folder, hu, order=[3, 0, 5, 1, 4, 2])], {}),
}

#: Headers as archives and people leave them.
TRIAL = {
    "PatientName": "P0007",
    "PatientIdentityRemoved": "YES",
    "DeidentificationMethod": "basic profile",
    "DeidentificationMethodCodeSequence": [coded(("113100", "DCM", "Basic Profile"))],
    "LongitudinalTemporalInformationModified": "MODIFIED",
    "ClinicalTrialSponsorName": "A sponsor",
    "ClinicalTrialProtocolID": "T-1",
    "ClinicalTrialProtocolName": "",
    "ClinicalTrialSiteID": "12",
    "ClinicalTrialSiteName": "",
    "ClinicalTrialSubjectID": "P0007",
    "ClinicalTrialTimePointID": "2",
    "ClinicalTrialCoordinatingCenterName": "",
}
NOTHING_KNOWN = {name: None for name in HEADER if name not in ("FrameOfReferenceUID", "SeriesNumber")}
HEADERS: dict[str, dict[str, object]] = {
    "plain": {},
    "de-identified, of a trial": TRIAL,
    "type 2 empty": {**dict.fromkeys(TYPE_2, ""), "PatientAge": "", "StudyDescription": ""},
    "type 2 and 3 missing": NOTHING_KNOWN | {"PatientName": None, "PatientID": None, "SeriesNumber": None},
    "latin": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg", "StudyDescription": "Thoräx"},
    "utf-8": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Ünal^Şükrü", "InstitutionName": "Gießen"},
    "japanese": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    },
    "what no standard knows": {"PatientSex": "U", "PatientAge": "50"},
}  # fmt: skip
