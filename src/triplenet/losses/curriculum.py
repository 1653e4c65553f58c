"""The weight that moves from the contrastive loss to the classification during training."""

from __future__ import annotations

from typing import Literal

from torch import Tensor


def contrastive_weight(progress: float | Tensor, shape: Literal["linear", "parabolic"] = "linear") -> float | Tensor:
    """Lambda: 1 - p (the paper) or 1 - p^2 (Wang P. et al. 2021).

    :param progress: p = epoch / epochs, epochs counted from 0; a number or a tensor without axes
    """
    return 1 - progress if shape == "linear" else 1 - progress * progress
