"""The whole way on synthetic patients: DICOM cohort, prepared set, a benchmark of two methods, a new scan, one page.

It is there to see the software work; its numbers say nothing about patients.
"""

from triplenet.demo.steps import Demo, run

__all__ = ["Demo", "run"]
