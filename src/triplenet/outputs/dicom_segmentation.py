"""Infection and lung as a DICOM Segmentation (binary) on the grid of the scan, frame by frame on its slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.sr.coding import Code

from triplenet.inference.result import Result
from triplenet.inference.segments import MASK, THRESHOLDS, Segments, Slices
from triplenet.outputs.dicom_objects import (
    RESEARCH,
    ObjectKind,
    arguments,
    finish,
    import_highdicom,
    place_frames,
    producer,
    references,
    source_position,
    tracking,
    write_object,
)
from triplenet.outputs.long_string import long_string
from triplenet.outputs.output_formats import FORMATS
from triplenet.outputs.own_grid import own_slices

SEG = ObjectKind("seg", 1, "Infection and lung")
(FILE,) = FORMATS["seg"].files
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
PNEUMONIA = Code("233604007", "SCT", "Pneumonia")
OPACITY = Code("112001", "DCM", "Opacity")
LUNG = Code("39607008", "SCT", "Lung")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
MORPHOLOGICAL = Code("123104", "DCM", "Morphological Operations")
_MANUAL = "MANUAL"


@dataclass(frozen=True)
class CodedSegment:
    """A segment as the segmentation and the report tell of it."""

    name: str
    """``infection`` or ``lung``"""
    number: int
    """In the segmentation, from 1"""
    label: str
    category: Code
    type: Code
    colour: tuple[int, int, int]
    """As red, green and blue of 0 to 255"""
    tracking_id: str
    tracking_uid: str


def coded_segments(result: Result) -> tuple[CodedSegment, ...]:
    """The segments that have any voxel, in the order of their numbers; none where nothing was found."""
    segments = result.segments
    if segments is None:
        return ()
    finding, word = finding_code(segments), "Opacity" if segments.by == THRESHOLDS else "Infection"
    regions = (
        ("infection", segments.infection, word, ABNORMAL, finding, (221, 84, 84)),
        ("lung", segments.lung, f"Lung with {word.lower()}", ANATOMY, LUNG, (128, 174, 128)),
    )
    there = [one for one in regions if one[1] is not None and _any(result, one[1])]
    return tuple(
        CodedSegment(name, number, label, category, kind, colour, *tracking(result, name))
        for number, (name, _, label, category, kind, colour) in enumerate(there, start=1)
    )


def finding_code(segments: Segments) -> Code:
    """What the infection is called: thresholds know no more than that something is opaque."""
    return OPACITY if segments.by == THRESHOLDS else PNEUMONIA


def write_segmentation(result: Result, folder: Path) -> None:
    """Write it; nothing where nothing was found."""
    made = segmentation(result)
    if made is not None:
        write_object(made, folder / FILE)


def segmentation(result: Result) -> Any:
    """The object; None where nothing was found.

    :raises NotDicom: the result is of no DICOM scan
    :raises MissingExtra: highdicom is not installed
    """
    described = coded_segments(result)
    if result.segments is None or not described:
        return None
    hd = import_highdicom()
    regions = [own_slices(result, getattr(result.segments, one.name)) for one in described]
    there = np.flatnonzero(np.any([region.any(axis=(1, 2)) for region in regions], axis=0)).tolist()
    frames = np.stack([region[there] for region in regions], axis=-1)  # (N, Y, X, segments)
    del regions
    patient = hd.CoordinateSystemNames.PATIENT
    made = hd.seg.Segmentation(
        references(result),
        frames,
        hd.seg.SegmentationTypeValues.BINARY,
        [_description(hd, one, result) for one in described],
        plane_positions=[hd.PlanePositionSequence(patient, source_position(result, z)) for z in there],
        content_label="INFECTION_LUNG",
        content_description=long_string(result.segments.by, before="Infection and lung by ", after=f". {RESEARCH}"),
        omit_empty_frames=True,
        **arguments(result, SEG),
    )
    place_frames(made, result)
    finish(made, result, SEG)
    return made


def _description(hd: Any, segment: CodedSegment, result: Result) -> Any:
    assert result.segments is not None
    by, made_by = result.segments.by, producer(result.record.model)
    drawn = by == MASK
    algorithm = None
    if not drawn:
        algorithm = hd.AlgorithmIdentificationSequence(
            name=long_string(by, before="triplenet "),
            family=MORPHOLOGICAL if by == THRESHOLDS else ARTIFICIAL_INTELLIGENCE,
            version=f"{made_by.software_versions[0]} {result.segments.model_sha256 or ''}"[:64].strip(),
            source=made_by.manufacturer,
        )
    return hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=segment.category,
        segmented_property_type=segment.type,
        algorithm_type=_MANUAL if drawn else "AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_id=segment.tracking_id,
        tracking_uid=segment.tracking_uid,
        anatomic_regions=[LUNG],
        display_color=hd.color.CIELabColor.from_rgb(*segment.colour),
    )


def _any(result: Result, region: Slices) -> bool:
    return any(bool(np.any(region[z])) for z in range(result.record.scan.shape[0]))
