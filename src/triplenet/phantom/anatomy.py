"""The chest as smooth fields: body, thoracic cavity, diaphragm, mediastinum, lungs, lobes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
from scipy import ndimage

from triplenet.phantom import abdomen, shapes
from triplenet.phantom.lattice import Field, Lattice
from triplenet.phantom.person import Person
from triplenet.phantom.reference import (
    AORTA,
    APEX_MM,
    ARCH_BRANCHES,
    BRACHIOCEPHALIC_VEINS,
    INFERIOR_CAVA,
    LEFT_ARTERY,
    LEFT_BRONCHUS,
    LOBE,
    PULMONARY_TRUNK,
    RIGHT_ARTERY,
    RIGHT_BRONCHUS,
    SPINE,
    SUPERIOR_CAVA,
    TRACHEA,
    TRUNK,
    Frame,
    along,
)


@dataclass(frozen=True)
class Anatomy:
    """Signed distances (mm, negative inside) on the frame's lattice, and what else depends on position."""

    frame: Frame
    skin: Field
    muscle: Field
    """The outer surface of the muscles: between it and the skin lies fat."""
    cavity: Field
    """The inner surface of the rib cage, going on around the upper abdomen."""
    mediastinum: Field
    """What lies between the lungs, with its fat."""
    lung: Field
    """Both lungs as the lattice holds them: cavity above the diaphragm without mediastinum. Where the recesses
    are thinner than the lattice, take the three apart."""
    heart: Field
    pericardium: Field
    diaphragm: Field
    """Negative above the diaphragm."""
    organs: abdomen.Organs
    rib_phase: Field
    """Counts ribs along the chest wall: a rib's middle lies at each whole number."""
    around: Field
    """0 at the spine, 1 at the sternum, along the chest wall."""
    fissure: Field
    """Distance to the oblique fissure, positive in the lobe above."""
    minor_fissure: Field
    """Distance to the minor fissure (right lung only), positive above."""
    breast: Field
    arms: Field
    axilla: Field
    planes: Field
    """Whole numbers are planes of fat between muscles."""

    @property
    def lattice(self) -> Lattice:
        return self.frame.lattice


def build(lattice: Lattice, person: Person, rng: np.random.Generator) -> Anatomy:
    """The fields of one person."""
    frame = Frame.of(lattice, person, rng)
    z, y, x = frame.reference()
    cavity, lobe_y = _cavity(z, y, x)
    muscle, skin, breast, arms = _trunk(z, y, x, cavity, person, lattice, rng)
    diaphragm = _diaphragm(z, y, x, person)
    heart, sac = _heart(z, y, x, person)
    centre = _mediastinum(z, y, x, sac, person, lattice, rng)
    lung = _close_islands(shapes.without(shapes.intersection(cavity, diaphragm, 3.0), centre, 3.0), centre)
    fissure, minor = _fissures(z, y, x, lattice, rng)
    around = np.arctan2(np.abs(x), y - lobe_y + 8.0) / np.pi
    organs = abdomen.build(z, y, x, cavity, diaphragm, lattice, rng)
    return Anatomy(
        frame=frame,
        skin=skin,
        muscle=muscle,
        cavity=cavity,
        mediastinum=centre,
        lung=lung,
        heart=heart,
        pericardium=sac,
        diaphragm=diaphragm,
        organs=organs,
        rib_phase=_rib_phase(z, around),
        around=around,
        fissure=fissure,
        minor_fissure=minor,
        breast=breast,
        arms=arms,
        axilla=_axilla(z, y, x, cavity),
        planes=_planes(cavity, lattice, rng),
    )


def _cavity(z: Field, y: Field, x: Field) -> tuple[Field, Field]:
    cx, cy, rx, ry = along(LOBE, z)
    lobes = shapes.superellipse(np.abs(x) - cx, y - cy, rx + 1.5, ry, 2.02)
    # Between the lobes the front wall runs straight; the back keeps its gutters beside the spine.
    middle = shapes.ellipse(x, y + 6.0 - cy * 0.5, cx + 0.72 * rx, ry * 0.84)
    cavity = shapes.union(lobes, middle, 14.0)
    return np.maximum(cavity, z - APEX_MM), cy


def _trunk(
    z: Field, y: Field, x: Field, cavity: Field, person: Person, lattice: Lattice, rng: np.random.Generator
) -> tuple[Field, Field, Field, Field]:
    half_width, half_depth, middle = along(TRUNK, z)
    extra = person.muscle_mm
    muscle = shapes.superellipse(x, y - middle, half_width + extra, half_depth + extra * 0.4, 2.3)
    groove = shapes.ellipse(x, y - middle - half_depth - extra * 0.4 - 3.0, 13.0, 6.0)
    muscle = shapes.without(muscle, groove, 12.0)
    muscle = shapes.union(muscle, cavity - 11.0, 6.0)
    muscle += lattice.smooth_noise(rng, 60.0) * 1.6
    side = np.abs(x) / half_width
    below_arms = np.clip((220.0 - z) / 60.0, 0.0, 1.0)
    fat = person.fat_mm * (0.75 + 0.45 * side * below_arms - 0.35 * np.clip((y - middle) / half_depth, 0.0, 1.0))
    fat *= 1.0 + 0.12 * lattice.smooth_noise(rng, 70.0)
    outer: Field = muscle - fat
    # Lying on the table flattens the back.
    back = y - middle - half_depth - (person.fat_mm * 0.3 + 3.0)
    outer = shapes.intersection(outer, np.broadcast_to(back, outer.shape), 10.0)
    breast: Field = np.full(lattice.shape, 50.0, np.float32)
    if person.breast_mm > 0:
        r = person.breast_mm
        front = 96.0 + person.fat_mm * 0.5
        for sign, droop in ((-1.0, rng.uniform(-4, 4)), (1.0, rng.uniform(-4, 4))):
            lobe = shapes.ellipsoid(
                z, y, x, (105.0 + droop, -front + 0.35 * r, sign * (78.0 + 0.3 * r)), (62.0, 0.95 * r, 58.0 + 0.25 * r)
            )
            breast = np.minimum(breast, lobe)
        outer = shapes.union(outer, breast, 18.0)
    arms: Field = np.full(lattice.shape, 50.0, np.float32)
    if person.arms_down:
        for sign in (-1.0, 1.0):
            ax = sign * (205.0 + person.fat_mm + person.muscle_mm)
            arm = shapes.ellipse(x - ax, y - 22.0, 38.0 + 0.3 * person.fat_mm, 44.0 + 0.3 * person.fat_mm)
            arms = np.minimum(arms, np.maximum(arm, z - 236.0))
    return muscle, outer, breast, arms


def _planes(cavity: Field, lattice: Lattice, rng: np.random.Generator) -> Field:
    # Muscles lie on the chest wall in layers, which wander more the farther out they are.
    wander = 0.3 + np.clip(cavity, 0.0, 90.0) * 0.011
    out: Field = (cavity - 12.5) / 21.0 + wander * lattice.smooth_noise(rng, 40.0)
    return out


def _axilla(z: Field, y: Field, x: Field, cavity: Field) -> Field:
    hollow = shapes.ellipsoid(z, y, np.abs(x), (198.0, 2.0, 128.0), (46.0, 25.0, 19.0))
    return np.asarray(np.maximum(hollow, 14.0 - cavity))


def _diaphragm(z: Field, y: Field, x: Field, person: Person) -> Field:
    dome = person.dome_mm - person.dome_step_mm * (x >= 0).astype(np.float32)
    u = (np.abs(x) - 60.0) / 74.0
    v = (y + 2.0) / 96.0
    rho = np.minimum(u * u + v * v, 1.3)
    # The recess is deep behind and at the side, shallow in front.
    rim = 34.0 - 42.0 * np.clip((y + 50.0) / 110.0, -0.4, 1.0)
    height = rim + (dome - rim) * (1.0 - rho**2)
    out: Field = (height - z) * 0.72
    return out


def _heart(z: Field, y: Field, x: Field, person: Person) -> tuple[Field, Field]:
    """The heart's muscle, and the smooth sac around it."""
    s = person.heart_scale
    # The left ventricle points forward, down and to the left: turn the axes to it.
    c, d = math.cos(0.75), math.sin(0.75)
    hx, hy = x - 24.0, y + 28.0
    long_axis, short_axis = c * hx - d * hy, d * hx + c * hy
    tilt = (z - 96.0) + 0.35 * long_axis
    left = shapes.ellipsoid(tilt, short_axis, long_axis, (0.0, 0.0, 2.0), (36.0 * s, 37.0 * s, 56.0 * s))
    right = shapes.ellipsoid(z, y, x, (92.0, -42.0, -2.0), (34.0 * s, 28.0 * s, 40.0 * s))
    atrium = shapes.ellipsoid(z, y, x, (110.0, -14.0, -28.0), (32.0 * s, 27.0 * s, 22.0 * s))
    left_atrium = shapes.ellipsoid(z, y, x, (128.0, 12.0, 0.0), (19.0 * s, 17.0 * s, 30.0 * s))
    root = shapes.ellipsoid(z, y, x, (134.0, -28.0, 4.0), (26.0, 19.0, 25.0))
    out = reduce(lambda a, b: shapes.union(a, b, 9.0), (left, right, atrium, left_atrium, root))
    # Fat fills the grooves where two chambers meet.
    muscle = out
    for one, other in ((left, right), (right, atrium), (left, left_atrium)):
        groove = np.abs(one - other) / 7.0 + np.maximum(-7.0 - out, 0.0) * 0.2
        muscle = muscle + (5.0 * s) * np.exp(-(groove**2)) * (one < 8.0) * (other < 8.0)
    return muscle, out


def _mediastinum(
    z: Field, y: Field, x: Field, sac: Field, person: Person, lattice: Lattice, rng: np.random.Generator
) -> Field:
    """What lies between the lungs, with its fat: the lungs are the cavity without it."""
    margin = person.mediastinal_fat_mm
    spine_y = np.interp(z, SPINE[0], SPINE[1]).astype(np.float32)
    spine = shapes.ellipse(x, y - spine_y - 4.0, 21.0, 22.0) - (0.35 * margin)
    # Half the width of what lies before the spine: thin where the lungs nearly touch behind the sternum.
    front = np.interp(z, [-80, 40, 110, 150, 195, 215, 240, 270], [12, 20, 14, 2, 4, 22, 30, 34]).astype(np.float32)
    rear = np.interp(z, [-80, 60, 120, 170, 200, 230, 270], [16, 12, 14, 14, 17, 22, 26]).astype(np.float32)
    share = np.clip((y + 62.0) / 45.0, 0.0, 1.0)
    slab = np.abs(x - 2.0) - (front + (rear - front) * share) - (0.3 * margin)
    joined = shapes.union(shapes.union(slab, spine, 9.0), sac - margin, 9.0)
    wide = [
        (AORTA, 2.5), (PULMONARY_TRUNK, 3.0), (SUPERIOR_CAVA, 2.5), (INFERIOR_CAVA, 2.0), (TRACHEA, 3.5),
        (RIGHT_BRONCHUS, 3.5), (LEFT_BRONCHUS, 3.5), (RIGHT_ARTERY, 2.0), (LEFT_ARTERY, 2.0),
        *((branch, 4.0) for branch in ARCH_BRANCHES), *((vein, 4.0) for vein in BRACHIOCEPHALIC_VEINS),
    ]  # fmt: skip
    for nodes, extra in wide:
        _join_tube(joined, z, y, x, np.asarray(nodes, np.float32), (extra + 0.2 * margin))
    joined += lattice.smooth_noise(rng, 28.0) * 1.1
    return joined


def _close_islands(lung: Field, mediastinum: Field) -> Field:
    """Fill pockets between the vessels of the mediastinum that are part of neither lung (in place)."""
    pieces, count = ndimage.label(lung < 0)
    sizes = ndimage.sum_labels(lung < 0, pieces, np.arange(count + 1))
    pocket = ndimage.binary_dilation((pieces > 0) & (sizes < 200)[pieces])
    mediastinum[pocket] = np.minimum(mediastinum[pocket], -3.0)
    lung[pocket] = np.maximum(lung[pocket], 3.0)
    return lung


def _join_tube(joined: Field, z: Field, y: Field, x: Field, nodes: Field, extra: float) -> None:
    """Unite a tube with ``joined``, in place and only near the tube."""
    for start, end in pairwise(nodes):
        box = []
        for axis, reference in enumerate((z, y, x)):
            line = reference[
                tuple(slice(None) if k == axis else slice(n // 2, n // 2 + 1) for k, n in enumerate(reference.shape))
            ]
            reach = max(float(start[3]), float(end[3])) + float(extra) + 24.0  # also for the bend across the lattice
            near = np.flatnonzero(
                (line.ravel() > min(start[axis], end[axis]) - reach)
                & (line.ravel() < max(start[axis], end[axis]) + reach)
            )
            box.append(slice(int(near[0]), int(near[-1]) + 1) if near.size else slice(0, 0))
        here = (box[0], box[1], box[2])
        part = shapes.capsule(z[here], y[here], x[here], start[:3], end[:3], float(start[3]), float(end[3])) - extra
        joined[here] = shapes.union(joined[here], part, 9.0)


def _fissures(z: Field, y: Field, x: Field, lattice: Lattice, rng: np.random.Generator) -> tuple[Field, Field]:
    wave = lattice.smooth_noise(rng, 48.0) * 4.5
    # From high at the back to low in front, steeper on the left.
    slope = 0.95 + 0.17 * (x >= 0).astype(np.float32)
    oblique = (z - 128.0 - slope * (y - 6.0) + wave) / np.sqrt(1.0 + slope * slope)
    minor = z - 134.0 + 0.12 * np.abs(x + 40.0) + wave
    return oblique.astype(np.float32), minor


def _rib_phase(z: Field, around: Field) -> Field:
    # A rib leaves the spine and falls towards the front; low ones' cartilage rises again to the sternum.
    fall = np.interp(z, [-60, 60, 160, 230, 270], [96, 104, 98, 70, 44]).astype(np.float32)
    rise = np.interp(z, [-60, 100, 180, 220], [190, 170, 90, 20]).astype(np.float32)
    drop = fall * around**1.06 - rise * np.maximum(around - 0.76, 0.0)
    out: Field = (z + drop) / 25.0
    return out
