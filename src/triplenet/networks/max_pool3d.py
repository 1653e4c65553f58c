"""Max pooling of volumes whose gradient is the same each time, where that is asked for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Sides = tuple[int, int, int]


class MaxPool3d(nn.MaxPool3d):
    """``nn.MaxPool3d``, by two poolings in the plane where torch must be deterministic on a GPU.

    Torch's own gradient adds up there in no fixed order, or is refused. Both give the same maxima; of equal ones in a
    window another may get the gradient.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, D, t, h, w) -> (B, D, t', h', w')"""
        if input.is_cuda and torch.are_deterministic_algorithms_enabled():
            return by_planes(input, *(_three(value) for value in (self.kernel_size, self.stride, self.padding)))
        pooled: Tensor = super().forward(input)
        return pooled


def by_planes(volumes: Tensor, kernel: Sides, stride: Sides, padding: Sides) -> Tensor:
    """Within each slice, then along the slices: (B, D, t, h, w) -> (B, D, t', h', w')"""
    batch, slices = volumes.shape[0], volumes.shape[2]
    flat = volumes.transpose(1, 2).flatten(0, 1)
    within = F.max_pool2d(flat, kernel[1:], stride[1:], padding[1:])
    within = within.reshape(batch, slices, *within.shape[1:]).transpose(1, 2)  # (B, D, t, h', w')
    along = F.max_pool2d(within.flatten(3), (kernel[0], 1), (stride[0], 1), (padding[0], 0))
    return along.reshape(*along.shape[:3], *within.shape[3:])


def _three(value: int | Sides) -> Sides:
    return (value, value, value) if isinstance(value, int) else value
