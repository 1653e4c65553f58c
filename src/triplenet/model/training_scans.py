"""What a model file tells of the scans it was trained on, so that a scan unlike them can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from triplenet.cohort.cells import unfit_path

#: As far as a card may go; what is told of a scan is held to less.
LARGEST_MM = 1000.0
LARGEST_DISTANCE = 1e12
LARGEST_COUNT = 10**9
LONGEST_KERNEL, MOST_KERNELS = 64, 64
#: Channels of a network's last features.
MOST_FEATURES = 4096


def _fit(text: str) -> str:
    fault = unfit_path(text) if text.strip() else "is empty"  # a path may hold no letter that steers a terminal either
    if fault:
        raise ValueError(f"the kernel {fault}")
    return text


Millimetres = Annotated[float, Field(gt=0, le=LARGEST_MM)]
Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
Kernel = Annotated[str, Field(max_length=LONGEST_KERNEL), AfterValidator(_fit)]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EmbeddingFacts(_Facts):
    """How far from the training patients' features others lie; see ``embedding.Embedding``."""

    quantile: float = Field(gt=0, lt=1)
    limit: float = Field(ge=0, le=LARGEST_DISTANCE)
    """The distance at that quantile"""
    patients: Count
    """How many it comes from"""
    of: Literal["validation", "training"]
    """Whose: training patients lie nearer than others, so that a limit from them is a tight one."""


class TrainingScans(_Facts):
    """Aggregates of ``patients`` patients, without anything of a single one but the ends of ranges.

    With very few patients an aggregate says nearly what each of them is.
    """

    patients: Count
    slice_mm: tuple[Millimetres, Millimetres] | None = None
    """Least, largest distance between slices; None where no training scan tells, likewise the next two"""
    pixel_mm: tuple[Millimetres, Millimetres] | None = None
    slice_thickness_mm: tuple[Millimetres, Millimetres] | None = None
    kernels: dict[Kernel, Count] = Field({}, max_length=MOST_KERNELS)
    """kernel -> patients, the most frequent first; those that say none are not counted"""
    contrast: dict[Literal["yes", "no"], Count] = {}
    """whether contrast medium was given -> patients, the same way"""
    embedding: EmbeddingFacts | None = None

    @model_validator(mode="after")
    def _possible(self) -> TrainingScans:
        for name in ("slice_mm", "pixel_mm", "slice_thickness_mm"):
            ends = getattr(self, name)
            if ends is not None and ends[0] > ends[1]:
                raise ValueError(f"{name} {ends[0]:g} to {ends[1]:g} is no range")
        return self
