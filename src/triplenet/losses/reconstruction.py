"""The reconstruction loss of MTDL: mean squared error."""

from __future__ import annotations

from torch import Tensor

from triplenet.losses.precision import full


def reconstruction(redrawn: Tensor, images: Tensor) -> Tensor:
    """Mean over all pixels of the squared difference; both (B, 1, H, W)."""
    return (full(redrawn) - full(images)).square().mean()
