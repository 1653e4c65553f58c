"""Any feature extractor of timm, by name, as an encoder; timm is not one of our dependencies."""

from __future__ import annotations

from torch import Tensor, nn

from triplenet.errors import BadRecipe, MissingExtra
from triplenet.networks.encoder import STRIDES, Encoder, Maps
from triplenet.networks.network_options import TIMM


class TimmEncoder(Encoder):
    """``timm.create_model(name, features_only=True)``; pretrained weights come from a file, never from the network.

    :raises MissingExtra: timm is not installed
    :raises BadRecipe: timm has no such model, or its maps do not have strides 2, 4, 8, 16, 32
    """

    # timm does not tell where a cell looks; the middle of its stride is right for most.
    first = (0.5, 1.5, 3.5, 7.5, 15.5)

    def __init__(self, name: str) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise MissingExtra(
                f"the encoder {TIMM}{name} needs timm, which cannot be imported ({error})", do="pip install timm"
            ) from error
        if not timm.is_model(name):
            raise BadRecipe("timm has no such model", where=name, do="timm.list_models() names them")
        try:
            self.body: nn.Module = timm.create_model(name, pretrained=False, features_only=True)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise BadRecipe(f"timm cannot take features from this model ({error})", where=name) from error
        info = self.body.feature_info
        if tuple(info.reduction()) != STRIDES:
            raise BadRecipe(
                f"the maps have strides {tuple(info.reduction())}, not {STRIDES}",
                where=name,
                do="choose another encoder",
            )
        self.channels = tuple(info.channels())

    def forward(self, images: Tensor) -> Maps:
        maps = self.body(images.expand(-1, 3, -1, -1))
        return tuple(maps)
