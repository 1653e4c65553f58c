"""The card of a model file: what the model is, what it takes, where it came from; nothing in it is out of bounds."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from triplenet import catalog
from triplenet.catalog import INTENDED_USE
from triplenet.cohort.cells import unfit_class
from triplenet.errors import BadModel
from triplenet.model.temperature import COLDEST, HOTTEST
from triplenet.model.training_scans import TrainingScans

#: HU that a window may reach: 16 bits and some.
FARTHEST_HU, NARROWEST_HU = 70_000.0, 1.0
#: Pixels: twice the largest CT matrix; the total stride of the encoders; frames as ``prepare`` makes them at most.
LARGEST_SIZE, SMALLEST_CROP, MOST_FRAMES = 2048, 32, 512
#: Of all frames together.
MOST_VOXELS = 512 * 512 * 512
MOST_CLASSES = 1000
#: What every card says the version of; beside them it names the package that brought its method.
VERSIONS = ("triplenet", "torch", "numpy", "python")
LONGEST_LINE = 4000
LARGEST_COUNT = 10**9

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def _fit(name: str) -> str:
    if fault := unfit_class(name):
        raise ValueError(f"the name {fault}")
    return name


Name = Annotated[str, AfterValidator(_fit)]
Line = Annotated[str, Field(max_length=LONGEST_LINE)]


class TaskCard(BaseModel):
    """The task a model was trained for; see ``catalog.Task``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Line
    title: Line
    findings: dict[str, str]
    """finding -> class name"""
    positive: tuple[str, ...]
    """The classes whose probabilities add up to that of disease."""

    def task(self, classes: tuple[str, ...]) -> catalog.Task:
        """The task as the rest of the package knows it; the classes in their order stand elsewhere."""
        return catalog.Task(self.name, self.title, classes, dict(self.findings), self.positive)


class ModelCard(BaseModel):
    """What a model is, what it takes and where it came from."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["triplenet model"] = "triplenet model"
    version: Literal[1] = 1
    method: Name
    network: dict[str, JsonValue] = {}
    """The method's own options, as ``networks.build`` takes them."""
    classes: tuple[Name, ...] = Field(min_length=2)
    task: TaskCard
    window_hu: tuple[float, float]
    """lower, upper: mapped to 0 and 255"""
    size: int
    """H = W of the image before the crop"""
    crop: int
    """H = W of what the network reads, cut from the middle"""
    dimensions: Literal[2, 3]
    frames: int = Field(0, ge=0)
    """T of a 3D method's input; 0 for a 2D one"""
    frame_sampling: catalog.FrameSampling = "nearest"
    recipe: dict[str, JsonValue]
    """The whole training recipe."""
    data_sha256: Hash
    """Of the prepared set."""
    fold: int = Field(ge=0, le=LARGEST_COUNT)
    fold_sha256: Hash | None = None
    epoch: int | None = Field(None, ge=0, le=LARGEST_COUNT)
    """The epoch the weights are from, counted from 0."""
    validation: dict[str, float | None] = {}
    """Metrics on the validation patients at that epoch; None where not defined."""
    temperature: float | None = Field(None, ge=COLDEST, le=HOTTEST)
    """By which the logits are divided before the softmax, fitted on the validation patients; None: none was"""
    training_scans: TrainingScans | None = None
    """What the scans it was trained on were like; None in files of earlier versions"""
    versions: dict[str, Line]
    created: date
    """UTC"""
    intended_use: Line = INTENDED_USE
    tensors_sha256: Hash | None = None
    """Of the tensors in the file; ``save_model`` fills it in."""

    @model_validator(mode="after")
    def _possible(self) -> ModelCard:
        fault = input_fault(self.window_hu, self.size, self.crop, self.frames, self.classes)
        if fault is not None:
            raise ValueError(fault)
        if (self.dimensions == 3) != (self.frames > 0):
            raise ValueError(f"dimensions {self.dimensions} does not go with frames {self.frames}")
        if not set(self.task.positive) <= set(self.classes):
            raise ValueError("task.positive must name classes")
        if not set(self.task.findings.values()) <= set(self.classes):
            raise ValueError("task.findings must lead to classes")
        return self

    def refuse_true_masks(self) -> None:
        """Refuse a model that reads what nobody has of a new scan.

        :raises BadModel: its attention is the true infection
        """
        if self.network.get("attention") == "true-mask":
            raise BadModel(
                "the model reads the infection that was drawn (network.attention=true-mask), which no new scan has",
                do="take it for comparisons alone, and another one for scans",
            )

    @property
    def positive(self) -> tuple[int, ...]:
        """Indices of the classes that count as disease."""
        return tuple(self.classes.index(name) for name in dict.fromkeys(self.task.positive))


def task_card(task: catalog.Task) -> TaskCard:
    """The part of a card that describes the task."""
    return TaskCard(name=task.name, title=task.title, findings=dict(task.findings), positive=task.positive)


def input_fault(
    window_hu: tuple[float, float], size: int, crop: int, frames: int, classes: tuple[str, ...]
) -> str | None:
    """Why no scan can be prepared for such a model, by the field's name; None if one can.

    A training asks before it begins, so that it does not end in a file that nobody may use.
    """
    lower, upper = window_hu
    if not -FARTHEST_HU <= lower <= upper <= FARTHEST_HU or upper - lower < NARROWEST_HU:
        limits = f"within {FARTHEST_HU:g} HU and at least {NARROWEST_HU:g} wide"
        return f"window_hu {lower:g}, {upper:g} is no window {limits}"
    if not 0 < size <= LARGEST_SIZE:
        return f"size {size} is not 1 to {LARGEST_SIZE} pixels"
    if crop > size:
        return f"crop {crop} is larger than size {size}"
    if crop < SMALLEST_CROP:
        return f"crop {crop} is less than {SMALLEST_CROP} pixels"
    if frames > MOST_FRAMES:
        return f"frames {frames} are more than {MOST_FRAMES}"
    if frames * size * size > MOST_VOXELS:
        return f"frames {frames} of {size} x {size} are more than {MOST_VOXELS} voxels"
    if len(classes) > MOST_CLASSES or len(set(classes)) < len(classes):
        return f"classes are more than {MOST_CLASSES}, or one stands twice"
    return None
