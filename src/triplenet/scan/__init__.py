"""Reading scans: a CT volume in Hounsfield units on the patient grid.

series = scan.open("study/")        # headers only
hu = series.slice(60)               # one slice decoded
volume = scan.read("scan.nii.gz")   # everything
"""

from triplenet.scan.choosing import choose
from triplenet.scan.hounsfield import AIR, check_hu
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.masks import Column, Mask, open_mask, read_mask, resample_mask
from triplenet.scan.nifti import APPROXIMATE, write_nifti
from triplenet.scan.orientation import Reorientation, reorientation, to_canonical
from triplenet.scan.picture import read_image
from triplenet.scan.reading import open, read, using
from triplenet.scan.series import Series
from triplenet.scan.survey import Candidate, Survey, survey
from triplenet.scan.volume import Geometry, HuArray, MaskArray, Scan, Source, require_rectangular
from triplenet.scan.window import window

__all__ = [
    "AIR",
    "APPROXIMATE",
    "DEFAULT_LIMITS",
    "Candidate",
    "Column",
    "Geometry",
    "HuArray",
    "Limits",
    "Mask",
    "MaskArray",
    "Reorientation",
    "Scan",
    "Series",
    "Source",
    "Survey",
    "check_hu",
    "choose",
    "open",
    "open_mask",
    "read",
    "read_image",
    "read_mask",
    "reorientation",
    "require_rectangular",
    "resample_mask",
    "survey",
    "to_canonical",
    "using",
    "window",
    "write_nifti",
]
