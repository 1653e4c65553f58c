"""What every 2D method's options have in common: the encoder. Loads without torch."""

from __future__ import annotations

from difflib import get_close_matches

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

#: Built-in encoders, by torchvision's names; ``timm:NAME`` is any feature extractor of timm with five maps.
ENCODERS = ("resnet18", "resnet34", "resnet50", "vgg16_bn")
TIMM = "timm:"


class NetworkOptions(BaseModel):
    """Base of the options of a method, as named in a recipe under ``[network]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EncoderOptions(NetworkOptions):
    """Options of a method that has an encoder with five maps."""

    encoder: str = Field("resnet18", validation_alias=AliasChoices("encoder", "trunk"))
    """``resnet18``, ``resnet34``, ``resnet50``, ``vgg16_bn``, or ``timm:NAME``"""

    @field_validator("encoder")
    @classmethod
    def _known(cls, name: str) -> str:
        if name in ENCODERS or (name.startswith(TIMM) and name != TIMM):
            return name
        near = get_close_matches(name, ENCODERS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(ENCODERS)} or timm:NAME"
        raise ValueError(f"unknown encoder {name!r}; {hint}")
