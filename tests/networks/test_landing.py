"""A heat map lies on what it is about: a bright spot is put where a cell looks, and the map must peak there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from triplenet import catalog, networks
from triplenet.networks.attention import area_mean, attend
from triplenet.networks.base import Network
from triplenet.networks.heat import upsample_to_image

NEAREST = 1.5  # pixels


def _averaging(name: str, **options: object) -> Network:
    """Every convolution a mean over its window and every feature evidence for class 1: what is bright is positive."""
    network = networks.build(name, **options).eval()
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.constant_(part.weight, 1 / part.weight[0].numel())
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.ones_(part.weight)
    last = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear) and len(part.weight) == 2]
    for part in last:
        part.weight.data[0] = 0
    return network


@pytest.mark.parametrize(
    ("name", "encoder"),
    [(name, "resnet18") for name in ("baseline", "double", "wsdl", "mtdl", "abn")]
    + [(name, encoder) for name in ("baseline", "abn") for encoder in ("resnet50", "vgg16_bn")],
)
@pytest.mark.parametrize("cell", [(2, 4), (5, 1)])
def test_a_spot_under_a_cell_lights_up_the_map_above_it(name: str, encoder: str, cell: tuple[int, int]) -> None:
    network = _averaging(name, encoder=encoder)
    stride, first = (16, network.encoder.first[3]) if name == "abn" else (32, network.encoder.first[4])
    if name == "abn":
        cell = (cell[0] * 2, cell[1] * 2)
    row, column = (first + stride * number for number in cell)
    images = torch.zeros(1, 1, 224, 224)
    # Two pixels wide where the centre lies between pixels.
    images[0, 0, int(row) : int(row + 1.5), int(column) : int(column + 1.5)] = 1
    _assert_peak(network.explain(_dimmed(network, images), torch.tensor([1]))[0], (row, column))


@pytest.mark.parametrize(("name", "encoder"), [("triple", "resnet18"), ("abn", "resnet18"), ("abn", "vgg16_bn")])
def test_a_spot_under_a_cell_lights_up_the_evidence_above_it(name: str, encoder: str) -> None:
    network = _averaging(name, encoder=encoder)
    row, column = (network.encoder.first[4] + 32 * number for number in (2, 4))
    images = torch.zeros(1, 1, 224, 224)
    images[0, 0, int(row) : int(row + 1.5), int(column) : int(column + 1.5)] = 1
    with torch.no_grad():
        images /= network(images).logits[0, 1]
    heat = network.answer(images, torch.tensor([1])).class_heat
    assert heat is not None
    _assert_peak(heat[0], (row, column))
    assert not network.answer(images, torch.tensor([0])).class_heat.any()  # what speaks against a class is not shown


@pytest.mark.parametrize("name", ["resnet3d", "covnet", "decovnet"])
def test_a_spot_in_a_volume_lights_up_the_map_above_it(name: str) -> None:
    options: dict[str, object] = {"grids": ((4, 4, 4), (2, 2, 2), (1, 2, 2))} if name == "decovnet" else {}
    network = _averaging(name, **options)
    spot = {"resnet3d": (16, 32, 64), "covnet": (7, 32, 64), "decovnet": (12.5, 32, 64)}[name]
    volume = torch.zeros(1, 1, 48 if name == "resnet3d" else 20, 97, 97)
    slices = slice(int(spot[0]), int(spot[0] + 1.5))
    volume[0, 0, slices, int(spot[1]), int(spot[2])] = 1
    _assert_peak(network.explain(_dimmed(network, volume), torch.tensor([1]))[0], spot)


def test_attention_reaches_the_cell_whose_pixels_it_covers() -> None:
    attention = torch.zeros(1, 224, 224)
    attention[0, 64:96, 160:192] = 1
    for resize in ("area", "bilinear"):
        attended = attend(torch.ones(1, 2, 7, 7), attention, resize)
        expected = torch.ones(7, 7)
        expected[2, 5] = 2
        torch.testing.assert_close(attended[0, 1], expected)


def test_area_sees_the_small_lesion_that_bilinear_misses() -> None:
    attention = torch.zeros(1, 224, 224)
    attention[0, 66:70, 66:70] = 1
    ones = torch.ones(1, 1, 7, 7)
    assert attend(ones, attention, "area").max() == pytest.approx(1 + 16 / 32**2)
    assert attend(ones, attention, "bilinear").max() == 1


@pytest.mark.parametrize(("sides", "cells"), [((224, 224), (7, 7)), ((72, 56), (3, 4)), ((5, 9), (5, 2))])
def test_the_mean_of_a_cell_is_torchs_and_so_is_its_gradient(sides: tuple[int, int], cells: tuple[int, int]) -> None:
    maps = torch.rand(2, *sides, generator=torch.Generator().manual_seed(0), requires_grad=True)
    usual = nn.functional.interpolate(maps[:, None], cells, mode="area")[:, 0]
    weights = torch.rand(usual.shape, generator=torch.Generator().manual_seed(1))
    (expected,) = torch.autograd.grad((weights * usual).sum(), maps)
    with torch.autocast("cpu", torch.bfloat16):
        found = area_mean(maps, cells)
    torch.testing.assert_close(found, usual)
    (gradient,) = torch.autograd.grad((weights * found).sum(), maps)
    torch.testing.assert_close(gradient, expected)


def test_placing_keeps_the_values_at_the_cells_and_is_linear_between() -> None:
    coarse = torch.tensor([[[0.0, 1.0], [0.5, 0.0]]])
    placed = upsample_to_image(coarse, (8, 8), (4, 4), (0, 0))[0]
    assert placed[0, 0] == 0 and placed[0, 4] == 1 and placed[4, 0] == 0.5
    torch.testing.assert_close(placed[0, :5], torch.tensor([0, 0.25, 0.5, 0.75, 1]))
    torch.testing.assert_close(placed[:5, 0], torch.tensor([0, 0.125, 0.25, 0.375, 0.5]))
    assert (placed[0, 4:] == 1).all()  # nothing is made up beyond the last cell


def test_placing_cells_side_by_side_is_the_usual_resize() -> None:
    coarse = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0))
    usual = nn.functional.interpolate(coarse[:, None], (40, 56), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(upsample_to_image(coarse, (40, 56), (8, 8), (3.5, 3.5)), usual)


def test_every_explained_method_with_a_coarse_map_is_tested_here() -> None:
    coarse = {name for name, method in catalog.METHODS.items() if method.explanation != "attention"}
    assert coarse == {"baseline", "double", "wsdl", "mtdl", "abn", "resnet3d", "covnet", "decovnet"}


def _dimmed(network: Network, images: Tensor) -> Tensor:
    """The spot as bright as gives a class score of one, so that the map has a peak and not a plateau at 1.

    The averaging networks are proportional to their input.
    """
    with torch.no_grad():
        outputs = network(images)
    scores = outputs.branch_logits[0] if outputs.branch_logits else outputs.logits
    return images / scores[0, 1]


def _assert_peak(heat: Tensor, at: tuple[float, ...]) -> None:
    """The brightest places are centred on the spot."""
    assert heat.max() > heat.median()
    brightest = (heat >= heat.max() - 1e-6).nonzero().float().mean(0)
    assert (brightest - torch.tensor(at)).abs().max() <= NEAREST, f"{brightest.tolist()} is not {at}"
