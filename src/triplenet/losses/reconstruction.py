"""The reconstruction loss of MTDL: mean squared error."""

from __future__ import annotations

from torch import Tensor

from triplenet.losses.precision import at_least_float32


def reconstruction(redrawn: Tensor, images: Tensor) -> Tensor:
    """Mean over all pixels of the squared difference; both (B, 1, H, W)."""
    return (at_least_float32(redrawn) - at_least_float32(images)).square().mean()
