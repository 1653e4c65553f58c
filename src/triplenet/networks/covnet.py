"""CovNet = COVNet (Li et al. 2020): a 2D encoder on every slice, and the maximum over the slices."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from triplenet.networks.base import Network, Outputs
from triplenet.networks.encoder import STRIDES
from triplenet.networks.encoders import make_encoder
from triplenet.networks.gradcam import grad_cam
from triplenet.networks.heads import pool
from triplenet.networks.heat import log_odds, patch_evidence, share_of_odds, upsample_to_image
from triplenet.networks.network_options import EncoderOptions


class Options(EncoderOptions):
    """Whether the network sees only the lungs."""

    lung_mask: bool = False
    """Read the lung mask as a second channel and set voxels outside it to 0, the mean grey."""


class CovNet(Network):
    """Each of 512 features is taken from the slice that shows it most."""

    dimensions = 3

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes, channels=2 if options.lung_mask else 1)
        self.encoder = make_encoder(options.encoder)
        self.fc = nn.Linear(self.encoder.channels[4], classes)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 1 or 2, T, H, W) -> (B * T, 512, 7, 7)"""
        grey = images[:, :1]
        if self.channels == 2:
            grey = grey * images[:, 1:]
        return (self.encoder(grey.transpose(1, 2).flatten(0, 1))[4],)

    def decide(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Outputs:
        return Outputs(logits=self._classify(maps[0], size[0]))

    def heat(
        self,
        maps: tuple[Tensor, ...],
        outputs: Outputs,  # noqa: ARG002 - the head is differentiated, not its result
        size: Sequence[int],
        target: Tensor | None,
    ) -> Tensor:
        """Grad-CAM on the fifth map of every slice: a slice shows the features that it alone gave to the maximum."""
        (slices,), frames = maps, size[0]
        contributions = grad_cam(slices, lambda deep: log_odds(self._classify(deep, frames)), target)
        heat = share_of_odds(patch_evidence(contributions.view(-1, frames, *slices.shape[2:])))  # (B, T, 7, 7)
        return upsample_to_image(heat, size, *self.deepest_cells())

    def deepest_cells(self) -> tuple[Sequence[float], Sequence[float]]:
        """Every slice has cells of its own."""
        first = self.encoder.first[4]
        return [1, STRIDES[4], STRIDES[4]], [0, first, first]

    def pooled(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Tensor:
        return self._strongest(maps[0], size[0])

    def _strongest(self, deep: Tensor, frames: int) -> Tensor:
        """(B * T, 512, 7, 7) -> (B, 512)"""
        return pool(deep).view(-1, frames, deep.shape[1]).amax(1)

    def _classify(self, deep: Tensor, frames: int) -> Tensor:
        logits: Tensor = self.fc(self._strongest(deep, frames))
        return logits


METHOD = CovNet
