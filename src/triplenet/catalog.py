"""Pure data: the methods, the findings, the built-in tasks, the windows. Loads in milliseconds, without torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from triplenet.errors import BadMethod, UnknownName
from triplenet.plugins import Registry, package_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")
FrameSampling = Literal["nearest", "linear"]
"""Whether a 3D method's frames are whole slices, or mixed from the two next to them."""
Explanation = Literal["grad-cam", "cam", "abn-map", "attention"]
MapMeasure = Literal[
    "pointing_game",
    "pointing_game_near",
    "energy_in_lesion",
    "energy_in_lung",
    "average_precision",
    "rank",
    "iou_matched",
    "dice_matched",
    "iou_otsu",
    "dice_otsu",
    "dice",
]
"""How a heat map is compared with the lesion: see ``explanation.map_scores``."""
#: Test patients a run about whose heat maps the network is asked: some hundred evaluations each.
MAP_PATIENTS = 16

INTENDED_USE = "Research software, not a medical device: not for diagnosis or treatment."
"""Said in these words by every page, picture, card and result."""
#: Mask values, in a cohort's ``mask`` files and in a prepared set.
BACKGROUND, LUNG, INFECTION, UNLABELLED = 0, 1, 2, 255
SEGMENTATION_CLASSES = ("background", "lung", "infection")


_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: Means every method, where methods are named.
ALL = "all"


def is_name(text: str) -> bool:
    """Whether a method, or a variant of one, may be called so."""
    return _NAME.fullmatch(text) is not None and text != ALL


@dataclass(frozen=True, kw_only=True)
class Method:
    """One of the systems of Tables 2 and 3, or one that another package brings; a module of its own builds it.

    :raises ValueError: not a method; the message says why
    """

    name: str
    title: str
    module: str
    """Defines ``Options`` and ``METHOD``, see ``networks``; imported when a network is built."""
    row: str = ""
    """How the paper's tables call it; empty for one that is not the paper's."""
    dimensions: Literal[2, 3] = 2
    views: Literal[1, 2] = 1
    """How many augmented copies of a patient's image one training step sees."""
    needs_masks: bool = False
    explanation: Explanation = "grad-cam"
    terms: tuple[str, ...] = ("classification",)
    """What its objective sums; with ``contrastive`` the curriculum shares the weight with ``classification``."""
    parameters: int
    """of the network with its default options, for two classes"""
    imagenet: bool = True
    """Whether its encoder starts from ImageNet weights; otherwise it starts from random ones."""
    package: str = ""
    """Name and version of the package that brings it; empty for our own."""

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise ValueError(f"{self.name!r} is not a name of small letters, digits and single hyphens")
        if self.dimensions not in (2, 3) or self.views not in (1, 2):
            raise ValueError(f"dimensions {self.dimensions}, views {self.views}: not 2 or 3, and 1 or 2")
        if self.explanation not in get_args(Explanation):
            raise ValueError(f"explanation {self.explanation!r} is not one of {', '.join(get_args(Explanation))}")
        if not isinstance(self.terms, tuple) or "classification" not in self.terms:
            raise ValueError("terms must be a tuple with classification in it")


def _own(name: str, **facts: Any) -> Method:
    return Method(name=name, module=f"triplenet.networks.{name.replace('-', '_')}", **facts)


#: In the order of Tables 2 and 3.
PAPERS_METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        _own(
            "resnet3d",
            title="3D-ResNet18",
            row="3D-ResNet18",
            dimensions=3,
            parameters=33_161_026,
            imagenet=False,
        ),
        _own("covnet", title="CovNet", row="CovNet (ResNet18)", dimensions=3, parameters=11_177_538),
        _own("decovnet", title="DeCovNet", row="DeCovNet", dimensions=3, parameters=343_058, imagenet=False),
        _own("baseline", title="Baseline ResNet18", row="Baseline (ResNet18)", parameters=11_177_538),
        _own(
            "wsdl",
            title="WSDL",
            row="WSDL",
            explanation="cam",
            terms=("classification", "branch"),
            parameters=11_178_310,
        ),
        _own(
            "abn",
            title="ABN",
            row="ABN",
            explanation="abn-map",
            terms=("classification", "branch"),
            parameters=19_573_342,
        ),
        _own(
            "mtdl",
            title="MTDL",
            row="MTDL",
            needs_masks=True,
            terms=("classification", "segmentation", "reconstruction"),
            parameters=12_883_398,
        ),
        _own(
            "double",
            title="Double Net",
            row="Double Net (ours)",
            views=2,
            terms=("classification", "contrastive"),
            parameters=11_834_178,
        ),
        _own(
            "triple",
            title="Triple Net",
            row="Triple Net (ours)",
            views=2,
            needs_masks=True,
            explanation="attention",
            terms=("classification", "contrastive", "segmentation"),
            parameters=12_753_029,
        ),
        _own(
            "triple-wsdl",
            title="Triple Net + WSDL",
            row="Triple Net + WSDL (ours)",
            views=2,
            needs_masks=True,
            explanation="attention",
            terms=("classification", "contrastive", "segmentation"),
            parameters=13_413_001,
        ),
    )
}


def _accept(value: object, entry: EntryPoint) -> Method:
    if not isinstance(value, Method):
        raise ValueError(f"a {type(value).__name__} is not a triplenet.catalog.Method")
    if value.name != entry.name:
        raise ValueError(f"it calls itself {value.name!r}")
    return replace(value, package=package_of(entry))


#: The paper's, then those of other packages, which bring them as entry points of this group.
METHODS: Registry[Method] = Registry("triplenet.methods", PAPERS_METHODS, _accept)


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
    """The method of this name.

    :raises UnknownName: there is none; names the nearest one
    :raises BadMethod: another package brings it, and it cannot be used
    """
    if name not in METHODS and name in METHODS.refused:
        raise BadMethod(
            "the method cannot be used",
            where=repr(name),
            do=f"mend or uninstall what brings it ({METHODS.refused[name]})",
        )
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
HIGH_OPACITY_HU = -200.0
"""Opacity denser than this is high opacity (Chaganti et al. 2020): consolidation rather than ground glass."""
