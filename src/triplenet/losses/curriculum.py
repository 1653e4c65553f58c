"""The weight that moves from the contrastive loss to the classification during training."""

from __future__ import annotations

from torch import Tensor

from triplenet.losses.loss_options import Curriculum


def contrastive_weight(progress: float | Tensor, shape: Curriculum = "linear") -> float | Tensor:
    """Lambda: 1 - p (the paper), 1 - p^2 (Wang P. et al. 2021), or off: 1/2, the linear one's mean, so that neither
    term weighs more in all than it does there.

    :param progress: p = epoch / epochs, epochs counted from 0; a number or a tensor without axes
    """
    if shape == "off":
        return 0.5
    return 1 - progress if shape == "linear" else 1 - progress * progress
