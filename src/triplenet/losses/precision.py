"""Losses are computed in float32 at least, whatever type the network ran in."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def no_autocast(tensor: Tensor) -> torch.autocast:
    """A context in which matrix products keep their inputs' type."""
    return torch.autocast(tensor.device.type, enabled=False)
