"""The whole way on synthetic patients: DICOM cohort, prepared set, two trainings, a comparison, a prediction on a new
scan, one report. It is there to see the software work; its numbers say nothing about patients.
"""

from triplenet.demo.steps import Demo, run

__all__ = ["Demo", "run"]
