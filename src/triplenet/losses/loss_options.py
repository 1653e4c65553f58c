"""Every choice about a loss, as named in a recipe under ``[loss]``. Loads without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Curriculum = Literal["linear", "parabolic", "off"]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ContrastiveOptions(_Options):
    """The supervised contrastive loss, Eqs. (2) and (3)."""

    denominator: Literal["negatives", "all"] = "negatives"
    """``negatives`` is Eq. (3) as printed; ``all`` sums over every other sample (Khosla et al. 2020)."""
    temperature: float = Field(0.07, gt=0)


class DiceOptions(_Options):
    """The segmentation loss, Eq. (5)."""

    factor: Literal[1, 2] = 2
    """Of the numerator: 2 as in V-Net, so that a perfect class costs nothing; 1 is Eq. (5) as printed."""
    smooth: float = Field(1.0, ge=0)
    """gamma of Eq. (5)"""
    over: Literal["batch", "image"] = "batch"
    """Whether the sums run over all pixels of the batch or over each image's."""


class WeightOptions(_Options):
    """A factor for each term, on top of the curriculum; a term of another package has one where it is named."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Annotated[float, Field(ge=0)]]

    classification: float = Field(1.0, ge=0)
    branch: float = Field(1.0, ge=0)
    contrastive: float = Field(1.0, ge=0)
    segmentation: float = Field(1.0, ge=0)
    reconstruction: float = Field(1.0, ge=0)

    def of(self, term: str) -> float:
        """The factor of a term of this name, which may be one of another package."""
        factor: float = {**self.__dict__, **self.others}.get(term, 1.0)
        return factor

    @property
    def others(self) -> dict[str, float]:
        """Those of terms that are not ours."""
        return self.__pydantic_extra__ or {}


class LossOptions(_Options):
    """The objective of a method: Eq. (4), Eq. (6) and their parts."""

    reduction: Literal["mean", "sum"] = "mean"
    """Over the batch, for cross-entropy and contrastive; Eqs. (1) and (2) print sums."""
    curriculum: Curriculum = "linear"
    """lambda = 1 - p, 1 - p^2, or 1/2 throughout (off), with p = epoch / epochs and epochs counted from 0"""
    contrastive: ContrastiveOptions = ContrastiveOptions()
    dice: DiceOptions = DiceOptions()
    weights: WeightOptions = WeightOptions()
    class_weights: tuple[float, ...] | None = None
    """One factor a class in the cross-entropy; none by default, as in the paper."""
