"""The reference chest: its courses and outlines in millimetres, and how a patient's chest differs from it.

Everything is described once (x to the left, y to the back, z to the head; z = 0 is the deepest recess of the
lungs and z = 270 their apex; y = 0 the middle of the cavity) and drawn in each patient's own millimetres
through :class:`Frame`, which stretches and bends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from triplenet.phantom.lattice import Field, Lattice, Points
from triplenet.phantom.person import Person

APEX_MM = 270.0

# Half of the thoracic cavity as an ellipse that changes with height: z, then its centre (+-x, y) and half axes.
LOBE = np.array(
    [
        [-80, -20, 0, 40, 80, 120, 160, 200, 225, 245, 258, 268],
        [62, 64, 65, 67, 68, 67, 63, 56, 50, 45, 42, 41],
        [10, 10, 10, 10, 8, 6, 6, 10, 14, 19, 23, 26],
        [62, 63, 64, 65, 66, 64, 60, 52, 43, 33, 23, 8],
        [80, 84, 86, 88, 88, 84, 76, 62, 49, 36, 25, 9],
    ]
)
# The outline of the trunk below the skin: z, half width, half depth, middle y.
TRUNK = np.array(
    [
        [-80, 0, 80, 140, 180, 215, 245, 275, 310],
        [144, 149, 152, 155, 166, 186, 197, 177, 130],
        [102, 106, 109, 107, 100, 91, 80, 70, 64],
        [8, 10, 10, 10, 11, 13, 16, 17, 16],
    ]
)
# The middle of the vertebral bodies: z, y.
SPINE = np.array([[-80, -20, 40, 80, 120, 160, 200, 230, 268, 300], [53, 57, 62, 64, 63, 60, 53, 45, 33, 24]])

# Tubes of the mediastinum: (z, y, x, radius) from node to node.
TRACHEA = ((300, 8, -1, 8.5), (262, 12, 0, 8.7), (228, 20, 1, 8.7), (196, 25, 1, 8.5), (172, 30, -1, 9.0))
RIGHT_BRONCHUS = ((172, 30, -2, 8.0), (160, 30, -16, 7.0), (150, 28, -28, 6.5), (143, 27, -35, 6.0))
LEFT_BRONCHUS = ((172, 30, 1, 7.5), (158, 32, 18, 6.6), (148, 33, 32, 6.2), (140, 34, 41, 5.8))
AORTA = (
    (118, -14, 1, 15.0),
    (140, -24, -8, 16.0),
    (165, -29, -11, 16.0),
    (186, -24, -6, 15.5),
    (198, -8, 4, 14.5),
    (200, 12, 13, 13.5),
    (192, 31, 21, 13.0),
    (172, 42, 25, 12.5),
    (130, 45, 24, 12.0),
    (80, 44, 19, 11.5),
    (30, 40, 11, 11.0),
    (-80, 32, 5, 10.0),
)
PULMONARY_TRUNK = ((122, -34, 14, 13.0), (140, -34, 17, 13.5), (156, -20, 18, 13.0), (161, -6, 20, 12.0))
RIGHT_ARTERY = ((160, -8, 14, 10.5), (154, 6, -6, 10.5), (150, 12, -24, 10.0), (146, 16, -36, 8.5))
LEFT_ARTERY = ((161, -6, 20, 11.5), (162, 12, 30, 10.5), (156, 26, 40, 9.0), (146, 32, 46, 8.0))
SUPERIOR_CAVA = ((212, -18, -24, 7.5), (196, -16, -25, 8.5), (160, -13, -27, 9.0), (122, -8, -28, 10.0))
INFERIOR_CAVA = ((102, 4, -24, 11.5), (80, 10, -24, 11.5), (40, 16, -22, 12.0), (-80, 22, -18, 11.0))
BRACHIOCEPHALIC_VEINS = (
    ((212, -18, -24, 7.5), (232, -16, -27, 7.0), (262, -12, -32, 6.0)),
    ((212, -18, -24, 7.0), (216, -33, -4, 6.5), (224, -34, 14, 6.5), (250, -18, 27, 6.0), (262, -10, 31, 6.0)),
)
ARCH_BRANCHES = (
    ((198, -10, 2, 7.0), (222, -10, -10, 6.2), (248, -2, -20, 5.0), (300, 2, -26, 4.0)),
    ((200, 2, 10, 4.2), (225, 0, 18, 3.8), (300, 4, 24, 3.6)),
    ((199, 16, 17, 5.0), (228, 14, 28, 4.6), (250, 10, 30, 4.4), (300, 6, 36, 4.0)),
)
PULMONARY_VEINS = (
    ((130, 2, -16, 7.5), (136, -4, -32, 6.0), (140, -6, -44, 5.0)),
    ((122, 16, -18, 7.5), (116, 24, -32, 6.0), (112, 28, -42, 5.0)),
    ((134, 2, 18, 7.0), (142, -2, 36, 6.0), (148, -6, 48, 5.0)),
    ((124, 20, 20, 7.0), (118, 28, 34, 6.0), (112, 34, 46, 5.0)),
)
OESOPHAGUS = (
    (300, 24, 2, 6.0),
    (240, 31, 4, 6.0),
    (172, 42, 3, 6.0),
    (110, 40, 7, 6.5),
    (60, 30, 14, 7.0),
    (20, 14, 26, 8),
)
AZYGOS = ((178, 8, -24, 4.0), (180, 26, -18, 4.0), (172, 42, -9, 3.8), (100, 46, -6, 3.5), (-80, 42, -5, 3.0))

Nodes = Sequence[tuple[float, float, float, float]]


@dataclass(frozen=True)
class Frame:
    """Between the reference chest and a patient's millimetres."""

    lattice: Lattice
    scale: tuple[float, float, float]
    bend: tuple[Field, Field, Field]
    """Added to the scaled position to give the reference position, (z, y, x)."""

    @classmethod
    def of(cls, lattice: Lattice, person: Person, rng: np.random.Generator) -> Frame:
        bend = [
            person.asymmetry * mm * (lattice.smooth_noise(rng, 95.0) + 0.22 * lattice.smooth_noise(rng, 45.0))
            for mm in (3.0, 3.0, 3.5)
        ]
        return cls(lattice, person.scale, (bend[0], bend[1], bend[2]))

    def reference(self) -> tuple[Field, Field, Field]:
        """Reference z, y, x of every sample of the lattice."""
        z, y, x = (axis / s + b for axis, s, b in zip(self.lattice.axes(), self.scale, self.bend, strict=True))
        return z, y, x

    def to_patient(self, reference_mm: Points) -> Points:
        """Patient millimetres (N, 3) of reference points, both (z, y, x)."""
        scale = np.asarray(self.scale)
        found: Points = reference_mm * scale
        for _ in range(3):  # the bend changes slowly, so the fixed point is near
            bend = np.stack([self.lattice.at(b, found) for b in self.bend], axis=1)
            found = (reference_mm - bend) * scale
        return found


def tube(nodes: Nodes, frame: Frame) -> tuple[Points, Points]:
    """A smooth course through a tube's nodes in patient millimetres (N, 3), and its radii (N,)."""
    table = np.asarray(nodes, dtype=np.float64)
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(table[:, :3], axis=0), axis=1))])
    fine = np.linspace(0.0, way[-1], max(2, int(way[-1] / 7.0) + 1))
    table = PchipInterpolator(way, table)(fine)
    return frame.to_patient(table[:, :3]), table[:, 3]


def along(table: np.ndarray, z: Field) -> list[Field]:
    """The columns of a table over z, read at ``z``."""
    return [np.interp(z, table[0], row).astype(np.float32) for row in table[1:]]
