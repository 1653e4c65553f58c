"""What must be true of what is written: each judge is a validator, or a reader that did not write it.

A judge looks at the files of one format and fails by an assertion, or because a reader fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from conformance.judging.every_object import dcentvfy, dciodvfy, dcmpschk, maker, modules, pixelmed, references
from conformance.judging.other_files import (
    csv_line,
    html_page,
    json_record,
    nifti,
    nifti_by_nibabel,
    nifti_by_simpleitk,
)
from conformance.judging.parametric_map import pm_dcmqi, pm_dcmtk
from conformance.judging.pictures import gsps_dcmtk, sc_dcmtk, sc_simpleitk
from conformance.judging.reports import kos_dcmtk, sr_content, sr_dcmqi, sr_dsrdump, sr_highdicom
from conformance.judging.segmentation import seg_dcmqi, seg_dcmtk, seg_highdicom, seg_simpleitk
from conformance.subjects import Subject
from outputs.dicom_results import DICOM

SHEARED = dict.fromkeys(("tilted", "every slice, tilted"), "makes images of rectangular voxels")
RECTANGULAR = {"uneven": "makes images of evenly spaced slices", **SHEARED}

NO_JAPANESE = {"header: japanese": "has no conversion of ISO 2022 IR 87 in Debian's build"}
DCMPSCHK = {
    "header: type 2 empty": "wants a patient to have a name",
    "header: type 2 and 3 missing": "wants a patient to have a name",
    "header: utf-8": "takes each byte of a name for a letter",
    "header: what no standard knows": "refuses the source's own age",
}
ONE_PLANE = {"one slice": "takes the distance of the first two frames, both of one slice, for a spacing"}


@dataclass(frozen=True)
class Judge:
    """Who judges which formats."""

    name: str
    formats: tuple[str, ...]
    judge: Callable[[Subject, str], None]
    """Of a format's files"""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Sources that this reader cannot be asked about, and why"""


_REPORTS = ("sr", "kos")
JUDGES = {
    one.name: one
    for one in (
        Judge("dciodvfy", DICOM, dciodvfy),
        Judge("dcentvfy, with the source", ("dicom",), dcentvfy),
        Judge("the source's modules", DICOM, modules),
        Judge("who made it", DICOM, maker),
        Judge("references", DICOM, references),
        Judge("dcmtk: every bit", ("seg",), seg_dcmtk, NO_JAPANESE),
        Judge("dcmqi segimage2itkimage", ("seg",), seg_dcmqi, RECTANGULAR),
        Judge("SimpleITK: frames", ("seg",), seg_simpleitk, ONE_PLANE),
        Judge("highdicom: volume", ("seg",), seg_highdicom, RECTANGULAR),
        Judge("dcmtk: values", ("pm",), pm_dcmtk, NO_JAPANESE),
        Judge("dcmqi paramap2itkimage", ("pm",), pm_dcmqi, {"every slice, tilted": SHEARED["tilted"]}),
        Judge("dcmtk: pixels", ("sc",), sc_dcmtk, NO_JAPANESE),
        Judge("SimpleITK: pixels", ("sc",), sc_simpleitk),
        Judge("dcmtk: outlines", ("gsps",), gsps_dcmtk, NO_JAPANESE),
        Judge("dcmpschk", ("gsps", *_REPORTS), dcmpschk, DCMPSCHK),
        Judge("dcmqi tid1500reader", ("sr",), sr_dcmqi),
        Judge("dsrdump: numbers", ("sr",), sr_dsrdump),
        Judge("dcmtk: content", ("sr",), sr_content, NO_JAPANESE),
        Judge("highdicom: groups", ("sr",), sr_highdicom),
        Judge("dcmtk: what is named", ("kos",), kos_dcmtk, NO_JAPANESE),
        Judge("PixelMed DicomSRValidator", _REPORTS, pixelmed),
        Judge("SimpleITK: voxels", ("nifti",), nifti(nifti_by_simpleitk), SHEARED),
        Judge("nibabel: voxels", ("nifti",), nifti(nifti_by_nibabel)),
        Judge("JSON Schema", ("json",), json_record),
        Judge("the record", ("csv",), csv_line),
        Judge("Chromium", ("html",), html_page),
    )
}
