"""The scanners: their kernels, noise, tables and ways of writing, and the protocol of one scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel.

    :param cutoff: spatial frequency (per mm) at which detail has fallen to 60 %
    :param boost: how much edges are overdrawn
    """

    name: str
    cutoff: float
    boost: float
    noise: float
    """Noise in HU in the middle of the body at 1 mm slices."""


@dataclass(frozen=True)
class Model:
    """A simulated scanner: what its sites see of it in a header, and how it writes."""

    site: str
    name: str
    kernels: tuple[Kernel, ...]
    thickness_mm: tuple[float, ...]
    kvp: int
    signed: bool
    intercept: int
    padding: int | None
    """Stored value outside the reconstruction circle, None where the square is filled."""
    table: Literal["curved", "flat"]


MODELS = (
    Model(
        site="north",
        name="Phantom One",
        kernels=(Kernel("B30s", 0.46, 0.0, 27.0), Kernel("B60f", 0.70, 0.35, 62.0)),
        thickness_mm=(1.0, 2.0, 3.0, 5.0),
        kvp=120,
        signed=False,
        intercept=-1024,
        padding=None,
        table="curved",
    ),
    Model(
        site="east",
        name="Phantom Wide",
        kernels=(Kernel("STANDARD", 0.45, 0.05, 25.0), Kernel("LUNG", 0.68, 0.55, 66.0)),
        thickness_mm=(1.25, 2.5, 5.0),
        kvp=120,
        signed=True,
        intercept=-1024,
        padding=-2000,
        table="flat",
    ),
    Model(
        site="south",
        name="Phantom Quick",
        kernels=(Kernel("FC08", 0.42, 0.0, 24.0), Kernel("FC51", 0.66, 0.45, 60.0)),
        thickness_mm=(1.0, 2.0, 5.0),
        kvp=110,
        signed=True,
        intercept=0,
        padding=-2048,
        table="curved",
    ),
    Model(
        site="west",
        name="Phantom Small",
        kernels=(Kernel("B", 0.44, 0.0, 30.0), Kernel("YA", 0.60, 0.3, 52.0)),
        thickness_mm=(1.0, 1.5, 3.0),
        kvp=100,
        signed=False,
        intercept=-1024,
        padding=None,
        table="flat",
    ),
)


@dataclass(frozen=True)
class Protocol:
    """How one scan was made."""

    model: Model
    kernel: Kernel
    thickness_mm: float
    pixel_mm: float
    matrix: int
    noise_hu: float
    offset_mm: tuple[float, float]
    """Middle of the field of view against the middle of the chest, (y, x)."""
    table_mm: float
    """Gap between the back and the table."""
    blanket: bool

    @property
    def padding_hu(self) -> int | None:
        return None if self.model.padding is None else self.model.padding + self.model.intercept


def draw(rng: np.random.Generator, matrix: int, thickness_mm: float | None, body_width_mm: float) -> Protocol:
    """A protocol as a site would choose it for a body of this width."""
    model = MODELS[int(rng.choice(len(MODELS), p=[0.35, 0.27, 0.22, 0.16]))]
    kernel = model.kernels[int(rng.random() < 0.45)]
    usual = float(model.thickness_mm[int(rng.integers(len(model.thickness_mm)))])
    thickness = usual if thickness_mm is None else thickness_mm
    pixel = float(np.round(np.clip(body_width_mm * rng.uniform(0.97, 1.1) / 512.0, 0.63, 0.78), 4))
    # Thicker slices collect more quanta, and the dose is chosen a little lower for them.
    noise = kernel.noise * (1.0 / thickness) ** 0.38 * float(rng.lognormal(0.0, 0.18)) * body_width_mm / 350.0
    return Protocol(
        model=model,
        kernel=kernel,
        thickness_mm=thickness,
        pixel_mm=round(pixel * 512.0 / matrix, 6),
        matrix=matrix,
        noise_hu=float(noise),
        offset_mm=(float(rng.normal(4.0, 6.0)), float(rng.normal(0.0, 5.0))),
        table_mm=float(rng.uniform(1.5, 7.0)),
        blanket=bool(rng.random() < 0.3),
    )
