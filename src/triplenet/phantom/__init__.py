"""Synthetic patients: chest CT with the four findings of the consensus, their masks and their geometry.

    made = phantom.patient(seed=0, index=7)                     # arrays
    table = phantom.write_cohort("demo/cohort", patients=100)   # a cohort on disk

Nobody is shown: anatomy, lesions and scanners are drawn from a seed. It is there to try the software, to teach
and to test; no result on it says anything about patients.
"""

from triplenet.phantom.dicom_output import write_dicom
from triplenet.phantom.findings import LIKE, PROPORTIONS, finding_of, findings
from triplenet.phantom.patients import PhantomPatient, patient
from triplenet.phantom.patterns import PATTERNS
from triplenet.phantom.scanner import MODELS
from triplenet.phantom.write import FORMATS, PATIENTS, Format, write_cohort

__all__ = [
    "FORMATS",
    "LIKE",
    "MODELS",
    "PATIENTS",
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
