"""What every 2D method's options have in common: the trunk. Loads without torch."""

from __future__ import annotations

from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, field_validator

#: Built-in trunks, by torchvision's names; ``timm:NAME`` is any feature extractor of timm with five maps.
TRUNKS = ("resnet18", "resnet34", "resnet50", "vgg16_bn")
TIMM = "timm:"


class NetworkOptions(BaseModel):
    """Base of the options of a method, as named in a recipe under ``[network]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrunkOptions(NetworkOptions):
    """Options of a method that has an encoder with five maps."""

    trunk: str = "resnet18"
    """``resnet18``, ``resnet34``, ``resnet50``, ``vgg16_bn``, or ``timm:NAME``"""

    @field_validator("trunk")
    @classmethod
    def _known(cls, name: str) -> str:
        if name in TRUNKS or (name.startswith(TIMM) and name != TIMM):
            return name
        near = get_close_matches(name, TRUNKS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(TRUNKS)} or timm:NAME"
        raise ValueError(f"unknown trunk {name!r}; {hint}")
