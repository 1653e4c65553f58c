"""Attention from the segmentation: F' = F + F * A = F (1 + A), A being the infection's probability."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from triplenet.catalog import INFECTION

Resize = Literal["area", "bilinear"]


def infection_probability(segmentation: Tensor) -> Tensor:
    """(B, 3, H, W) logits -> (B, H, W) in 0..1"""
    return segmentation.float().softmax(1)[:, INFECTION]


def attend(features: Tensor, attention: Tensor, resize: Resize) -> Tensor:
    """The features, up to doubled where the attention is.

    :param features: (B, D, h, w)
    :param attention: (B, H, W) in 0..1
    :param resize: ``area`` averages all the pixels of a cell; ``bilinear`` reads four of them, and misses small lesions
    """
    options = {"mode": "area"} if resize == "area" else {"mode": "bilinear", "align_corners": False}
    small = F.interpolate(attention.unsqueeze(1), size=features.shape[-2:], **options)
    return features * (1 + small.to(features.dtype))
