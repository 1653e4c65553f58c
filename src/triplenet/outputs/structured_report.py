"""The result as a Comprehensive 3D SR by the template of measurements (TID 1500): class, probabilities, segments.

It names the slices that were classified, what it was made by, and where the model looked; and says so where nothing
was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.sr.coding import Code

from triplenet.inference.result import Result
from triplenet.outputs.dicom_objects import (
    RESEARCH,
    ObjectKind,
    finish,
    import_highdicom,
    instances_of,
    plane_of,
    producer,
    references,
    series_uid,
    source_position,
    source_reference,
    thickness_mm,
    tracking,
    write_object,
)
from triplenet.outputs.dicom_segmentation import LUNG, SEG, CodedSegment, coded_segments, finding_code
from triplenet.outputs.output_formats import FORMATS
from triplenet.outputs.own_grid import own_geometry
from triplenet.outputs.report_codes import (
    ABSENT,
    COMMENT,
    DEVICE,
    FINDING,
    MILLILITRE,
    NO_UNITS,
    PERCENT,
    PRESENT,
    PROBABILITY,
    SHARE,
    VISUAL_EXPLANATION,
    VOLUME,
    class_code,
    own_scheme,
    procedures,
)
from triplenet.outputs.source_modules import put, without_modules
from triplenet.outputs.written_objects import Objects, arguments_beside, written_objects

SR = ObjectKind("sr", 6, "Report")
(FILE,) = FORMATS["sr"].files
_MAPS = "1.2.840.10008.5.1.4.1.1.30"
"""SOP class of Parametric Maps"""


def write_structured_report(result: Result, folder: Path) -> None:
    """Write it; it refers to the objects that lie in the folder already."""
    write_object(structured_report(result, written_objects(folder)), folder / FILE)


def structured_report(result: Result, others: Objects | None = None) -> Any:
    """The object.

    :param others: of the same result, that it refers to
    :raises NotDicom: the result is of no DICOM scan
    :raises MissingExtra: highdicom is not installed
    """
    hd = import_highdicom()
    told = {name: one for name, one in (others or {}).items() if _refers_to(result, name, one)}
    sources = references(result)
    classified = [sources[z if len(sources) > 1 else 0] for z in classified_slices(result)]
    evidence = [*{one.SOPInstanceUID: one for one in classified}.values(), *map(without_modules, told.values())]
    report = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device_context(hd, result)),
        procedure_reported=procedures(instances_of(result).headers[0]),
        imaging_measurements=[_scan_group(hd, result, told), *_segment_groups(hd, result, told)],
        title=Code("126000", "DCM", "Imaging Measurement Report"),
        referenced_images=_library(result, classified),
    )
    _name_frames(report, result)
    made = hd.sr.Comprehensive3DSR(
        evidence=evidence,
        content=report,
        is_complete=True,
        is_final=False,
        **arguments_beside(result, SR, told),
    )
    made.CodingSchemeIdentificationSequence = [own_scheme()]
    finish(made, result, SR)
    return made


def device_context(hd: Any, result: Result) -> Any:
    """Who observed (TID 1004): the same values as in the contributing equipment."""
    made_by = producer(result.record.model)
    return hd.sr.ObserverContext(
        observer_type=DEVICE,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=made_by.device_uid,
            name=made_by.manufacturer,
            manufacturer_name=made_by.manufacturer,
            model_name=made_by.model_name,
            serial_number=made_by.device_serial_number,
        ),
    )


def classified_slices(result: Result) -> tuple[int, ...]:
    """Slices of the scan's own order that its class follows from; all of them for a 3D method, and across slices."""
    depth, how, decision = own_geometry(result).shape[0], result.reorientation, result.record.decision
    if decision is None or not how.keeps_slices:
        return tuple(range(depth))
    return tuple(sorted(how.undo_index(one.from_feet, depth) for one in decision.slices))


def _refers_to(result: Result, name: str, other: Dataset) -> bool:
    """Whether a report does: to the segmentation, the maps, and the pictures of the chosen slice."""
    is_segmentation = other.SeriesInstanceUID == series_uid(result, SEG)
    return is_segmentation or other.SOPClassUID == _MAPS or name in FORMATS["sc"].files


def _scan_group(hd: Any, result: Result, others: Objects) -> Any:
    """What is said of the whole scan (TID 1501)."""
    record = result.record
    identifier, tracking_uid = tracking(result, "scan")
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=tracking_uid, identifier=identifier),
        algorithm_id=_algorithm(hd, result),
        finding_sites=[hd.sr.FindingSite(LUNG)],
        measurements=[_probability(hd, result, one.name, one.probability) for one in record.classes],
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(FINDING, class_code(record.model, record.predicted)),
            *_presence(hd, result),
        ],
        source_images=_chosen_slice(hd, result),
    )
    content = group[0].ContentSequence
    for other in others.values():
        if other.SeriesInstanceUID != series_uid(result, SEG):
            content.append(
                hd.sr.ImageContentItem(
                    VISUAL_EXPLANATION,
                    other.SOPClassUID,
                    other.SOPInstanceUID,
                    relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
                )
            )
    for text in _comments(result):
        content.append(hd.sr.TextContentItem(COMMENT, text, hd.sr.RelationshipTypeValues.CONTAINS))
    return group


def _comments(result: Result) -> Iterator[str]:
    yield f"{RESEARCH}. {result.record.intended_use}"
    if result.segments is not None and "infection" not in {one.name for one in coded_segments(result)}:
        yield f"No infection was found in the scan by {result.segments.by}."
    yield from result.record.warnings


def _algorithm(hd: Any, result: Result) -> Any:
    """By what (TID 4019): the same values as in the contributing equipment."""
    made_by = producer(result.record.model)
    return hd.sr.AlgorithmIdentification(
        name=made_by.model_name, version=" ".join(made_by.software_versions), manufacturer=made_by.manufacturer
    )


def _probability(hd: Any, result: Result, name: str, probability: float) -> Any:
    """The probability of one class; which one is its modifier."""
    measured = hd.sr.Measurement(PROBABILITY, probability, NO_UNITS)
    modifier = hd.sr.CodeContentItem(
        FINDING, class_code(result.record.model, name), hd.sr.RelationshipTypeValues.HAS_CONCEPT_MOD
    )
    if "ContentSequence" not in measured[0]:
        measured[0].ContentSequence = hd.sr.ContentSequence()
    measured[0].ContentSequence.append(modifier)
    return measured


def _presence(hd: Any, result: Result) -> list[Any]:
    """Whether infection was found, where something looked for it."""
    if result.segments is None:
        return []
    found = any(one.name == "infection" for one in coded_segments(result))
    return [hd.sr.QualitativeEvaluation(finding_code(result.segments), PRESENT if found else ABSENT)]


def _chosen_slice(hd: Any, result: Result) -> list[Any] | None:
    """The slice that is shown; None where it lies across the scan's own."""
    how, depth = result.reorientation, own_geometry(result).shape[0]
    if not how.keeps_slices:
        return None
    told = source_reference(result, how.undo_index(result.record.slice.from_feet, depth))
    return [
        hd.sr.SourceImageForMeasurementGroup(
            told.ReferencedSOPClassUID, told.ReferencedSOPInstanceUID, _frame(told.get("ReferencedFrameNumber"))
        )
    ]


def _frame(number: int | None) -> list[int] | None:
    return None if number is None else [int(number)]


def _segment_groups(hd: Any, result: Result, others: Objects) -> Iterator[Any]:
    """What is said of each segment: as one of the Segmentation (TID 1411), or without one (TID 1501)."""
    segmentation = next((one for one in others.values() if one.SeriesInstanceUID == series_uid(result, SEG)), None)
    for segment in coded_segments(result):
        told = {
            "tracking_identifier": hd.sr.TrackingIdentifier(uid=segment.tracking_uid, identifier=segment.tracking_id),
            "finding_type": segment.type,
            "finding_category": segment.category,
            "finding_sites": [hd.sr.FindingSite(LUNG)],
            "measurements": _volumes(hd, result, segment) or None,
        }
        if segmentation is None:
            yield hd.sr.MeasurementsAndQualitativeEvaluations(**told)
            continue
        yield hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=hd.sr.ReferencedSegment(
                segmentation.SOPClassUID,
                segmentation.SOPInstanceUID,
                segment.number,
                source_series=hd.sr.SourceSeriesForSegmentation(instances_of(result).headers[0].SeriesInstanceUID),
            ),
            **told,
        )


def _volumes(hd: Any, result: Result, segment: CodedSegment) -> list[Any]:
    """Volume, and of the infection its share of the lung; nothing where it was not measured."""
    if result.record.measures is None:
        return []
    both = result.record.measures.both
    volume = both.infection_ml if segment.name == "infection" else both.lung_ml
    measured = [] if volume is None else [hd.sr.Measurement(VOLUME, volume.estimate, MILLILITRE)]
    if segment.name == "infection" and both.infected_share is not None:
        measured.append(hd.sr.Measurement(SHARE, round(100 * both.infected_share.estimate, 3), PERCENT))
    return measured


def _library(result: Result, classified: list[Dataset]) -> list[Dataset]:
    """A header for each classified slice that says where it lies, as that of an object of several frames does not."""
    headers = []
    for z, header in zip(classified_slices(result), classified, strict=True):
        one, plane = Dataset(), plane_of(own_geometry(result), z)
        one.update(header)
        put(one, "ImagePositionPatient", list(source_position(result, z)))
        put(one, "ImageOrientationPatient", list(plane.orientation))
        put(one, "PixelSpacing", list(plane.spacing_mm))
        put(one, "SliceThickness", thickness_mm(result))
        headers.append(one)
    return headers


def _name_frames(report: Any, result: Result) -> None:
    """Say in the image library which frame of an object of several frames each of its entries is."""
    (library,) = [item for item in report[0].ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111028"]
    entries = [item for group in library.ContentSequence for item in group.ContentSequence if item.ValueType == "IMAGE"]
    for z, item in zip(classified_slices(result), entries, strict=True):
        told = source_reference(result, z)
        if "ReferencedFrameNumber" in told:
            item.ReferencedSOPSequence[0].ReferencedFrameNumber = told.ReferencedFrameNumber
