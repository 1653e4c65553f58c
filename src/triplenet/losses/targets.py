"""What a batch's outputs are measured against."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

#: The label of a patient without a finding.
NO_LABEL = -1


@dataclass(frozen=True)
class Targets:
    """One row a row of the outputs; with two views the caller repeats them.

    A patient may lack either: a label of -1 takes part in no classification or contrastive term, a pixel of 255 (or all
    of them, ``masks`` being None) in no segmentation term.
    """

    labels: Tensor
    """(B,) int64; -1 for a patient without a finding"""
    masks: Tensor | None
    """(B, H, W) uint8: 0 background, 1 lung, 2 infection, 255 unlabelled"""
    images: Tensor
    """(B, 1, H, W) the normalised input, for the reconstruction"""
