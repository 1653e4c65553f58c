"""The upper abdomen, as far as a chest CT shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triplenet.phantom import shapes
from triplenet.phantom.lattice import Field, Lattice
from triplenet.phantom.reference import SPINE


@dataclass(frozen=True)
class Organs:
    """Signed distances (mm, negative inside) on the lattice."""

    liver: Field
    spleen: Field
    stomach: Field
    bowel: Field


def build(
    z: Field, y: Field, x: Field, cavity: Field, diaphragm: Field, lattice: Lattice, rng: np.random.Generator
) -> Organs:
    """Liver, spleen, stomach and the bend of the bowel, below the diaphragm (reference z, y, x)."""
    below = shapes.intersection(cavity + 3.0, 1.2 - diaphragm, 3.0)
    spine_y = np.interp(z, SPINE[0], SPINE[1]).astype(np.float32)
    spine = shapes.ellipse(x, y - spine_y, 26.0, 26.0)
    wave = lattice.smooth_noise(rng, 40.0)
    liver = shapes.ellipsoid(z, y, x, (-22.0, -4.0, -76.0), (132.0, 116.0, 116.0)) + 4.0 * wave
    liver = shapes.without(shapes.intersection(liver, below, 3.0), spine, 10.0)
    left_below = shapes.intersection(below + 2.0, 2.0 - liver, 3.0)
    spleen = shapes.ellipsoid(z, y, x, (-2.0, 52.0, 92.0), (52.0, 34.0, 30.0)) + 2.0 * wave
    spleen = shapes.intersection(spleen, left_below, 4.0)
    stomach = shapes.ellipsoid(z, y, x, (8.0, -14.0, 58.0), (60.0, 52.0, 44.0)) + 3.0 * wave
    stomach = shapes.intersection(shapes.without(stomach, spleen - 5.0, 3.0), left_below + 3.0, 4.0)
    bowel = shapes.ellipsoid(z, y, x, (-4.0, -44.0, 84.0), (44.0, 20.0, 26.0)) + 4.0 * wave
    bowel = shapes.intersection(shapes.without(bowel, stomach - 2.0, 3.0), left_below + 4.0, 4.0)
    return Organs(liver, spleen, stomach, bowel)
