"""Reading scans: a CT volume in Hounsfield units on the patient grid.

series = scan.open("study/")        # headers only
hu = series.slice(60)               # one slice decoded
volume = scan.read("scan.nii.gz")   # everything
"""

from triplenet.scan.grid_match import voxels_apart
from triplenet.scan.hounsfield import AIR, check_hu
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.mask import Mask
from triplenet.scan.nifti_output import APPROXIMATE, write_nifti
from triplenet.scan.orientation import Reorientation, reorientation
from triplenet.scan.picture import read_image
from triplenet.scan.reading import open, read, with_fallback
from triplenet.scan.reading_masks import open_mask, read_mask, resample_mask
from triplenet.scan.segment_meaning import Column
from triplenet.scan.segment_names import NO_NAMES, SegmentNames, read_segment_names
from triplenet.scan.series import Series
from triplenet.scan.series_choice import choose
from triplenet.scan.source_frames import SourceFrame, read_source
from triplenet.scan.survey import Candidate, Survey, survey, survey_files
from triplenet.scan.volume import Geometry, HuArray, MaskArray, Scan, Source
from triplenet.scan.window import window

__all__ = [
    "AIR",
    "APPROXIMATE",
    "DEFAULT_LIMITS",
    "NO_NAMES",
    "Candidate",
    "Column",
    "Geometry",
    "HuArray",
    "Limits",
    "Mask",
    "MaskArray",
    "Reorientation",
    "Scan",
    "SegmentNames",
    "Series",
    "Source",
    "SourceFrame",
    "Survey",
    "check_hu",
    "choose",
    "open",
    "open_mask",
    "read",
    "read_image",
    "read_mask",
    "read_segment_names",
    "read_source",
    "reorientation",
    "resample_mask",
    "survey",
    "survey_files",
    "voxels_apart",
    "window",
    "with_fallback",
    "write_nifti",
]
