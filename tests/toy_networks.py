"""Networks with fixed weights, and images and targets small enough for them."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from triplenet import catalog, networks, phantom
from triplenet.losses.targets import Targets
from triplenet.networks.base import Network
from triplenet.prepare.patient import labelled_slice
from triplenet.prepare.sample import network_slice

SIZE, FRAMES = 64, 6


def fresh(name: str, seed: int = 0, **options: object) -> Network:
    """A network in training mode; the same seed gives the same weights."""
    torch.manual_seed(seed)
    return networks.build(name, **options)


@cache
def frozen(name: str) -> Network:
    """A network in evaluation mode, shared: do not change it. No parameter or statistic is at its start value."""
    network = fresh(name).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for key, value in network.state_dict().items():
        if value.is_floating_point() and value.ndim == 1:
            noise = torch.rand(value.shape, generator=generator)
            value.copy_(0.5 + noise if key.endswith(("weight", "running_var")) else 0.2 * noise)
    return network


def noise(name: str, batch: int = 2, size: tuple[int, int] = (SIZE, SIZE), seed: int = 0) -> Tensor:
    """Normalised images of uniform noise, with the axes that the method reads."""
    generator = torch.Generator().manual_seed(seed)
    frames = (FRAMES,) if catalog.method(name).dimensions == 3 else ()
    return torch.rand(batch, 1, *frames, *size, generator=generator) - 0.5


def blobs(name: str, batch: int = 8, size: int = SIZE) -> tuple[Tensor, Targets]:
    """Discs of lung; every second one with a bright lesion, which is its class."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    lung = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 < (0.45 * size) ** 2
    labels = torch.arange(batch) % 2
    masks = lung.to(torch.uint8).repeat(batch, 1, 1)
    for number in range(1, batch, 2):
        row, column = (size * (0.35 + 0.3 * torch.rand(2, generator=generator))).tolist()
        masks[number][(rows - row) ** 2 + (columns - column) ** 2 < (size / 8) ** 2] = catalog.INFECTION
    grey = torch.tensor([0.0, -0.3, 0.5])[masks.long()] + 0.05 * torch.randn(masks.shape, generator=generator)
    images = grey.unsqueeze(1)
    if catalog.method(name).dimensions == 3:
        images = images.unsqueeze(2).repeat(1, 1, FRAMES, 1, 1)
    return images, Targets(labels, masks, images)


PHANTOM_SIZE = 48


@cache
def _phantom_slices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (8, S, S), masks (8, S, S), frames (8, FRAMES, S, S) uint8 of four typical and four negative phantoms."""
    images, masks, frames = [], [], []
    window = catalog.WINDOWS["paper"]
    for index, finding in enumerate(("negative", "typical") * 4):
        made = phantom.patient(seed=0, index=index, finding=finding, matrix=64, thickness_mm=10.0)
        areas = (made.infection if made.infection.any() else made.lung).sum(axis=(1, 2))
        z = int(areas.argmax())
        image, transform = network_slice(made.hu[z], window, PHANTOM_SIZE)
        images.append(image)
        labels = labelled_slice(made.hu.shape[1:], made.infection[z] > 0, made.lung[z] > 0)
        masks.append(transform.mask(labels))
        chosen = np.linspace(0, len(made.hu) - 1, FRAMES).astype(int)
        frames.append(np.stack([network_slice(made.hu[one], window, PHANTOM_SIZE)[0] for one in chosen]))
    return np.stack(images), np.stack(masks), np.stack(frames)


def phantoms(name: str) -> tuple[Tensor, Targets]:
    """Eight phantom patients as the method reads them; a typical finding is class one."""
    images, masks, frames = _phantom_slices()
    read = torch.from_numpy(frames if catalog.method(name).dimensions == 3 else images)
    grey = (read.float() / 255 - 0.5).unsqueeze(1)
    return grey, Targets(torch.arange(8) % 2, torch.from_numpy(masks), grey)
