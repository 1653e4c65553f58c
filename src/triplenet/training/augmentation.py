"""Random copies of images, made on the device: one affine resampling a view, image and mask in one grid.

Brightness acts on the grey value, as on a photograph: it is multiplied and clipped at white. Then the mean image is
subtracted, and only then is the picture moved, so that what lies outside the image is 0, the mean.

The cut-out square is turned about its own centre and sampled from the whole image, so only what lies outside the
image itself is filled. The filled part of a mask is background: no infection is to be seen there, and the attention
must learn to be 0 there, since the class heads read it. A patient whose mask knows nothing stays unlabelled everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional

from triplenet.catalog import UNLABELLED
from triplenet.training.recipe import AugmentationRecipe


class Samples(NamedTuple):
    """What a training step sees: V views of B patients, all first views before all second ones."""

    images: Tensor
    """(V*B, 1, crop, crop) float32, or (V*B, 1, T, crop, crop); a second channel holds the lung where it is read"""
    masks: Tensor
    """(V*B, crop, crop) uint8"""


def unpack(lungs: Tensor, width: int) -> Tensor:
    """(..., W / 8) uint8 bits as ``prepare.store.pack`` makes them -> (..., W) uint8 of 0 and 1."""
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=lungs.device)
    bits = lungs.unsqueeze(-1).bitwise_right_shift(shifts).bitwise_and_(1)  # (..., W / 8, 8)
    return bits.flatten(-2)[..., :width]


@dataclass(frozen=True)
class Draws:
    """The random numbers of n copies, each (n,) float32 but for the offset."""

    offset: Tensor
    """(n, 2) top and left of the square that is cut out, whole pixels"""
    angle: Tensor
    """radians; positive turns the picture counterclockwise"""
    flip: Tensor
    """-1 mirrors left and right, 1 does not"""
    zoom: Tensor
    """above 1 enlarges"""
    brightness: Tensor


def draw(n: int, generator: Generator) -> Tensor:
    """The random numbers of n copies, (n, 6) uniform in 0..1, on the generator's device.

    Always as many of them, so that switching one change off leaves the others as they were.
    """
    return torch.rand(n, 6, generator=generator, device=generator.device)


def draws_of(uniform: Tensor, size: int, recipe: AugmentationRecipe) -> Draws:
    """What the random numbers mean for copies of images with sides of ``size`` pixels.

    :param uniform: (n, 6), as ``draw`` gives them
    """
    top, left, angle, flip, zoom, brightness = uniform.unbind(1)
    places = size - recipe.crop + 1
    low, high = recipe.scale
    return Draws(
        offset=(torch.stack([top, left], 1) * places).floor().clamp_(max=places - 1),
        angle=(2 * angle - 1) * math.radians(recipe.rotation_degrees),
        flip=torch.where(flip < recipe.flip, -1.0, 1.0),
        zoom=low + zoom * (high - low),
        brightness=1 + (2 * brightness - 1) * recipe.brightness,
    )


def augment(
    images: Tensor,
    masks: Tensor | None,
    mean_image: Tensor,
    draws: Draws,
    crop: int,
    lungs: Tensor | None = None,
) -> Samples:
    """The copies that the draws describe.

    :param images: (n, H, W) uint8, or (n, T, H, W) for a 3D method: all frames of a patient move alike
    :param masks: (n, H, W) uint8, 255 = unlabelled; None for a method that reads none
    :param mean_image: (H, W) float32 in 0..1
    :param lungs: in the shape of ``images``, uint8, 1 in the lung of the frames, or in the infection where a 2D network
        reads that; moved as the images are
    """
    grey = images.unsqueeze(1) if images.ndim == 3 else images  # (n, 1 or T, H, W)
    factor = (draws.brightness / 255).view(-1, 1, 1, 1)
    normalised = (grey * factor).clamp_(max=1).sub_(mean_image)
    grid = _grid(draws, images.shape[-1], crop)  # (n, crop, crop, 2)
    moved = functional.grid_sample(normalised, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if images.ndim == 4:
        moved = moved.unsqueeze(1)
    if lungs is not None:
        beside = lungs.unsqueeze(1) if lungs.ndim == 3 else lungs  # (n, 1 or T, H, W)
        inside = functional.grid_sample(
            beside.to(grid.dtype), grid, mode="nearest", padding_mode="zeros", align_corners=False
        )
        moved = torch.cat([moved, inside if lungs.ndim == 3 else inside.unsqueeze(1)], 1)
    if masks is None:
        return Samples(moved, torch.full((len(images), crop, crop), UNLABELLED, dtype=torch.uint8, device=grid.device))
    return Samples(moved, _move_masks(masks, grid))


def _grid(draws: Draws, size: int, crop: int) -> Tensor:
    """Where each pixel of a copy comes from, (n, crop, crop, 2) as ``grid_sample`` takes it (x, y; -1..1 the image).

    From the square's centre, a copy's pixel at (x, y) shows the image's at R(angle) (flip x, y) / zoom.
    """
    cos, sin = torch.cos(draws.angle), torch.sin(draws.angle)
    # Normalised coordinates count half sides: of the square on the copy's side, of the image on the other.
    step = crop / size / draws.zoom
    shift = (draws.offset + crop / 2) / (size / 2) - 1  # (n, 2): y, x of the square's centre
    theta = torch.stack(
        [
            torch.stack([cos * draws.flip * step, -sin * step, shift[:, 1]], 1),
            torch.stack([sin * draws.flip * step, cos * step, shift[:, 0]], 1),
        ],
        1,
    )  # (n, 2, 3)
    return functional.affine_grid(theta, [len(theta), 1, crop, crop], align_corners=False)


def _move_masks(masks: Tensor, grid: Tensor) -> Tensor:
    values = masks.unsqueeze(1).to(grid.dtype)
    # The zeros that are filled in mean background, see catalog.BACKGROUND.
    moved = functional.grid_sample(values, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    unknown = (masks == UNLABELLED).flatten(1).all(1).view(-1, 1, 1)
    return torch.where(unknown, UNLABELLED, moved.squeeze(1).to(torch.uint8))
