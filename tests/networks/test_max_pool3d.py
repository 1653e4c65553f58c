"""Max pooling of volumes by two poolings in the plane."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from triplenet import networks
from triplenet.networks.max_pool3d import MaxPool3d, by_planes


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((3, 3, 3), (2, 2, 2), (1, 1, 1)), ((1, 3, 3), (1, 2, 2), (0, 1, 1)), ((2, 1, 1), (2, 1, 1), (0, 0, 0))],
)
def test_maxima_and_gradients_are_torchs(
    kernel: tuple[int, int, int], stride: tuple[int, int, int], padding: tuple[int, int, int]
) -> None:
    volumes = torch.randn(2, 3, 7, 10, 9, generator=torch.Generator().manual_seed(0), requires_grad=True)
    usual = functional.max_pool3d(volumes, kernel, stride, padding)
    found = by_planes(volumes, kernel, stride, padding)
    assert torch.equal(found, usual)
    weights = torch.randn(usual.shape, generator=torch.Generator().manual_seed(1))
    expected, gradient = (torch.autograd.grad((weights * one).sum(), volumes)[0] for one in (usual, found))
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("name", ["resnet3d", "decovnet"])
def test_every_max_pooling_of_the_3d_methods_is_this_one(name: str) -> None:
    pools = [module for module in networks.build(name).modules() if isinstance(module, nn.MaxPool3d)]
    assert pools
    assert all(isinstance(module, MaxPool3d) for module in pools)
