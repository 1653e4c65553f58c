"""Synthetic patients: chest CT with the four findings of the consensus, their masks and their geometry.

    made = phantom.patient(seed=0, index=7)                     # arrays
    table = phantom.write_cohort("demo/cohort", patients=100)   # a cohort on disk

Nobody is shown: anatomy, lesions and scanners are drawn from a seed. It is there to try the software, to teach
and to test; no result on it says anything about patients.
"""

from triplenet.cohort.phantom.dicom import write_dicom
from triplenet.cohort.phantom.findings import PROPORTIONS, finding_of, findings
from triplenet.cohort.phantom.patients import PhantomPatient, patient
from triplenet.cohort.phantom.patterns import PATTERNS
from triplenet.cohort.phantom.scanner import MODELS
from triplenet.cohort.phantom.write import FORMATS, Format, write_cohort

__all__ = [
    "FORMATS",
    "MODELS",
    "PATTERNS",
    "PROPORTIONS",
    "Format",
    "PhantomPatient",
    "finding_of",
    "findings",
    "patient",
    "write_cohort",
    "write_dicom",
]
