"""Pure data: the methods, the findings, the built-in tasks, the windows. Loads in milliseconds, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, TypeVar

from triplenet.errors import UnknownName

T = TypeVar("T")
FrameSampling = Literal["nearest", "linear"]
"""Whether a 3D method's frames are whole slices, or mixed from the two next to them."""
Explanation = Literal["grad-cam", "cam", "abn-map", "attention"]
Term = Literal["classification", "branch", "contrastive", "segmentation", "reconstruction"]

#: Mask values, in a cohort's ``mask`` files and in a prepared set.
BACKGROUND, LUNG, INFECTION, UNLABELLED = 0, 1, 2, 255
SEGMENTATION_CLASSES = ("background", "lung", "infection")


@dataclass(frozen=True)
class Method:
    """One of the systems of Tables 2 and 3; ``networks/<name>.py`` builds it."""

    name: str
    title: str
    row: str
    """How the paper's tables call it."""
    dimensions: Literal[2, 3]
    views: Literal[1, 2]
    """How many augmented copies of a patient's image one training step sees."""
    needs_masks: bool
    explanation: Explanation
    terms: tuple[Term, ...]
    """What its objective sums; with ``contrastive`` the curriculum shares the weight with ``classification``."""
    parameters: int
    """of the network with its default options, for two classes"""
    imagenet: bool = True
    """Whether its encoder starts from ImageNet weights; otherwise it starts from random ones."""


#: In the order of Tables 2 and 3.
METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method(
            "resnet3d",
            "3D-ResNet18",
            "3D-ResNet18",
            3,
            1,
            False,
            "grad-cam",
            ("classification",),
            33_161_026,
            imagenet=False,
        ),
        Method("covnet", "CovNet", "CovNet (ResNet18)", 3, 1, False, "grad-cam", ("classification",), 11_177_538),
        Method(
            "decovnet", "DeCovNet", "DeCovNet", 3, 1, False, "grad-cam", ("classification",), 343_058, imagenet=False
        ),
        Method(
            "baseline",
            "Baseline ResNet18",
            "Baseline (ResNet18)",
            2,
            1,
            False,
            "grad-cam",
            ("classification",),
            11_177_538,
        ),
        Method("wsdl", "WSDL", "WSDL", 2, 1, False, "cam", ("classification", "branch"), 11_178_310),
        Method("abn", "ABN", "ABN", 2, 1, False, "abn-map", ("classification", "branch"), 19_573_342),
        Method(
            "mtdl",
            "MTDL",
            "MTDL",
            2,
            1,
            True,
            "grad-cam",
            ("classification", "segmentation", "reconstruction"),
            12_883_398,
        ),
        Method(
            "double",
            "Double Net",
            "Double Net (ours)",
            2,
            2,
            False,
            "grad-cam",
            ("classification", "contrastive"),
            11_834_178,
        ),
        Method(
            "triple",
            "Triple Net",
            "Triple Net (ours)",
            2,
            2,
            True,
            "attention",
            ("classification", "contrastive", "segmentation"),
            12_753_029,
        ),
        Method(
            "triple-wsdl",
            "Triple Net + WSDL",
            "Triple Net + WSDL (ours)",
            2,
            2,
            True,
            "attention",
            ("classification", "contrastive", "segmentation"),
            13_413_001,
        ),
    )
}


@dataclass(frozen=True)
class Task:
    """A classification task: which finding belongs to which class.

    For two classes the second is the positive one; ``positive`` names the classes that count as
    disease when a probability of disease is wanted from more than two.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    findings: Mapping[str, str]
    """finding -> class name"""
    positive: tuple[str, ...] = field(default=())

    def label(self, finding: str) -> int:
        """The class index of a finding; raises KeyError for one that the task does not name."""
        return self.classes.index(self.findings[finding])


#: Findings of the RSNA consensus statement (Simpson et al. 2020), as the paper's Table 1 uses them.
FINDINGS: Mapping[str, str] = {
    "typical": "typical appearance",
    "indeterminate": "indeterminate appearance",
    "atypical": "atypical appearance",
    "negative": "negative for pneumonia",
}

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            "binary",
            "COVID-19 pneumonia, binary (Table 2)",
            ("negative", "positive"),
            {
                "atypical": "negative",
                "negative": "negative",
                "typical": "positive",
                "indeterminate": "positive",
            },
            ("positive",),
        ),
        Task(
            "appearance",
            "appearance, four classes (Table 3)",
            ("typical", "indeterminate", "atypical", "negative"),
            {name: name for name in FINDINGS},
            ("typical", "indeterminate"),
        ),
        Task(
            "severity-binary",
            "MosMedData severity: CT-0 against the rest",
            ("CT-0", "CT-1..4"),
            {"CT-0": "CT-0", **{f"CT-{n}": "CT-1..4" for n in range(1, 5)}},
            ("CT-1..4",),
        ),
        Task(
            "severity",
            "MosMedData severity: CT-0, CT-1, CT-2, CT-3 with CT-4",
            ("CT-0", "CT-1", "CT-2", "CT-3..4"),
            {"CT-0": "CT-0", "CT-1": "CT-1", "CT-2": "CT-2", "CT-3": "CT-3..4", "CT-4": "CT-3..4"},
            ("CT-1", "CT-2", "CT-3..4"),
        ),
        Task(
            "covid",
            "COVID-19 against everything else",
            ("not COVID-19", "COVID-19"),
            {
                "COVID-19": "COVID-19",
                "non-COVID-19": "not COVID-19",
                "CAP": "not COVID-19",
                "normal": "not COVID-19",
            },
            ("COVID-19",),
        ),
        Task(
            "covid-cap-normal",
            "COVID-19, community-acquired pneumonia, normal",
            ("COVID-19", "CAP", "normal"),
            {name: name for name in ("COVID-19", "CAP", "normal")},
            ("COVID-19", "CAP"),
        ),
    )
}

#: Windows in HU, (lower, upper): mapped linearly to 0..255.
WINDOWS: Mapping[str, tuple[float, float]] = {
    "paper": (-1000.0, -500.0),
    "lung": (-1350.0, 150.0),
    "wide": (-1000.0, 400.0),
}


def method(name: str) -> Method:
    """The method of this name; raises UnknownName with the nearest one."""
    return _look_up("method", METHODS, name)


def task(name: str) -> Task:
    """The built-in task of this name; raises UnknownName with the nearest one."""
    return _look_up("task", TASKS, name)


def _look_up(kind: str, table: Mapping[str, T], name: str) -> T:
    if name in table:
        return table[name]
    near = get_close_matches(name, table, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(table)}"
    raise UnknownName(f"unknown {kind}", where=repr(name), do=hint)


SMALLEST_LESION_MM = 10.0
"""Lower end of the size of a secondary pulmonary lobule (Fleischner Society 2008: 1 to 2.5 cm), the unit of lung that
pneumonia fills."""
