"""Encoders by name."""

from __future__ import annotations

from triplenet.networks.encoder import Encoder
from triplenet.networks.network_options import TIMM


def make_encoder(name: str) -> Encoder:
    """The encoder of this name, see ``options.ENCODERS``.

    :raises MissingExtra: a ``timm:`` name and no timm
    :raises BadRecipe: timm does not know the name, or its maps are not the five
    """
    if name.startswith(TIMM):
        from triplenet.networks.timm_encoder import TimmEncoder

        return TimmEncoder(name.removeprefix(TIMM))
    if name.startswith("vgg"):
        from triplenet.networks.vgg import Vgg16

        return Vgg16()
    from triplenet.networks.resnet import ResNet

    return ResNet(name)
