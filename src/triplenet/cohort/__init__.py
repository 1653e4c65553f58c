"""Who the patients are: findings, masks, tasks, folds."""

from triplenet.cohort.folds import FOLDS, SCHEMES, Fold, Partition, split
from triplenet.cohort.table import Cohort, Patient, combine, read_cohort, write_cohort
from triplenet.cohort.tasks import load_task, load_task_file

__all__ = [
    "FOLDS",
    "SCHEMES",
    "Cohort",
    "Fold",
    "Partition",
    "Patient",
    "combine",
    "load_task",
    "load_task_file",
    "read_cohort",
    "split",
    "write_cohort",
]
