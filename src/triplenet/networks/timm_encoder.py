"""Any feature extractor of timm, by name, as an encoder; timm is not one of our dependencies."""

from __future__ import annotations

from torch import Tensor, nn

from triplenet.errors import BadInput, BadRecipe, MissingExtra
from triplenet.networks.encoder import STRIDES, Encoder, Maps
from triplenet.networks.network_options import TIMM


class TimmEncoder(Encoder):
    """``timm.create_model(name, features_only=True)``; pretrained weights come from a file, never from the network.

    Extractors that begin with stride 4, as ConvNeXt and Swin do, have an empty first map: a decoder finds nothing
    beside it there. Maps with their channels last are turned.

    :raises MissingExtra: timm is not installed
    :raises BadRecipe: timm has no such model, or its maps do not have strides 4, 8, 16, 32, with or without 2
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
        strides = tuple(info.reduction())
        if strides not in (STRIDES, STRIDES[1:]):
            raise BadRecipe(
                f"the maps have strides {strides}, not {STRIDES[1:]} with or without {STRIDES[0]}",
                where=name,
                do="choose another encoder",
            )
        self.name = name
        self.lacks_first = len(strides) < len(STRIDES)
        self.channels = (*[0] * self.lacks_first, *info.channels())
        self.channels_last = getattr(self.body, "output_fmt", None) == "NHWC"
        facts = getattr(self.body, "pretrained_cfg", None) or {}
        self.only_size = tuple(facts["input_size"][1:]) if facts.get("fixed_input_size") else None
        """(H, W) of an extractor that reads no other"""

    def forward(self, images: Tensor) -> Maps:
        """:raises BadInput: images of a size that the extractor does not read"""
        rows, columns = images.shape[2:]
        if self.only_size not in (None, (rows, columns)):
            raise BadInput(
                f"the encoder {TIMM}{self.name} reads {self.only_size} pixels and no others, not {(rows, columns)}",
                do="set augmentation.crop so, or choose another encoder",
            )
        maps = self.body(images.expand(-1, 3, -1, -1))
        if self.channels_last:
            maps = [map_.permute(0, 3, 1, 2) for map_ in maps]
        if self.lacks_first:
            first = maps[0].new_zeros((len(images), 0, 2 * maps[0].shape[2], 2 * maps[0].shape[3]))
            maps = [first, *maps]
        return tuple(maps)
