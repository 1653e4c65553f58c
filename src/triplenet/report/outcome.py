"""What the demo's page shows, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from triplenet import catalog
from triplenet.catalog import Task
from triplenet.explanation.overlay import Grey, Heat, Mask
from triplenet.inference import Result
from triplenet.report.charts import Curve
from triplenet.report.components import Estimate

#: Metrics in the order of the table: key, name, textbook definition.
METRICS = (
    ("accuracy", "Accuracy", "share of patients classified right"),
    ("precision", "Precision", "TP / (TP + FP)"),
    ("sensitivity", "Sensitivity", "TP / (TP + FN)"),
    ("specificity", "Specificity", "TN / (TN + FP)"),
    ("f1", "F-measure", "harmonic mean of precision and sensitivity"),
    ("auc", "AUC", "area under the ROC curve"),
)


@dataclass(frozen=True)
class MethodOutcome:
    """One method on the test patients."""

    name: str
    """As in the catalog"""
    metrics: Mapping[str, Estimate]
    """By the keys of ``METRICS``; one that is missing is shown as a dash"""
    confusion: npt.NDArray[np.int64]
    """(C, C) counts, rows truth, columns prediction"""
    roc: Curve | None = None
    """x: 1 - specificity, y: sensitivity"""
    history: Mapping[str, Curve] = field(default_factory=dict)
    """Curves over epochs by what they show; the same key of two methods is one chart"""
    inside: Estimate | None = None
    """Mean share of the heat map's sum inside the true infection, over test patients that have one"""
    pointing: tuple[int, int] | None = None
    """In how many patients the hottest pixel lies in the infection, of how many that have one"""
    seconds: float | None = None
    """Training took"""

    @property
    def title(self) -> str:
        return catalog.method(self.name).title

    @property
    def right(self) -> int:
        """Patients classified right."""
        return int(np.trace(self.confusion))

    @property
    def tested(self) -> int:
        return int(np.sum(self.confusion))


@dataclass(frozen=True)
class Look:
    """Where one method looked in one patient, and what it said."""

    method: str
    heat: Heat
    """(H, W) in 0..1"""
    predicted: str
    probability: float
    """Of the positive class or classes"""


@dataclass(frozen=True)
class Case:
    """A test patient."""

    name: str
    finding: str
    truth: str
    """The class"""
    image: Grey
    """(H, W) as the network reads it"""
    infection: Mask
    """(H, W)"""
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class NewScan:
    """A scan that is in no cohort, predicted as a user would."""

    result: Result
    finding: str | None = None
    truth: str | None = None


@dataclass(frozen=True)
class Demo:
    """Everything the page shows."""

    task: Task
    findings: Mapping[str, int]
    """Patients a finding, the whole cohort"""
    partition: Mapping[str, int]
    """Patients for training, validation, test"""
    methods: tuple[MethodOutcome, ...]
    cases: tuple[Case, ...]
    new_scan: NewScan | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    """What decided the run, by name"""
    commands: tuple[str, ...] = ()
    """To do the same by hand"""
    seconds: float | None = None
    """The whole demo took"""
    intervals: str = "95 % intervals"
    """What the intervals are, as a noun: the method and the level"""
