"""Ribs, sternum, spine, shoulder girdle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from triplenet.phantom import reference as ref
from triplenet.phantom import shapes
from triplenet.phantom.anatomy import Anatomy
from triplenet.phantom.lattice import Field, Points
from triplenet.phantom.tubes import Tubes

if TYPE_CHECKING:
    from triplenet.phantom.slab import Strip

RIB_STEP_MM = 25.0


@dataclass(frozen=True)
class Spine:
    """The course of the vertebral bodies' middle: z and there y, x, in patient millimetres."""

    z: Points
    y: Points
    x: Points

    @classmethod
    def of(cls, a: Anatomy) -> Spine:
        z = np.linspace(-80.0, 300.0, 39)
        y = np.interp(z, ref.SPINE[0], ref.SPINE[1])
        course = a.frame.to_patient(np.stack([z, y, np.zeros_like(z)], axis=1))
        return cls(course[:, 0], course[:, 1], course[:, 2])


def draw(strip: Strip, cavity: Field, mottle: Field) -> None:
    """All bones that follow from fields, into the strip."""
    _ribs(strip, cavity, mottle)
    _scapulae(strip, cavity)
    _sternum(strip, cavity)
    _spine(strip, mottle)


def _bone(
    strip: Strip,
    distance: Field,
    box: tuple[slice, slice, slice],
    cortex_hu: float,
    marrow_hu: Field | float,
    cortex_mm: float,
) -> None:
    hu = strip.hu[box]
    hu += shapes.coverage(distance, strip.pixel_mm) * (cortex_hu - hu)
    hu += shapes.coverage(distance + cortex_mm, strip.pixel_mm) * (marrow_hu - hu)


def _ribs(strip: Strip, cavity: Field, mottle: Field) -> None:
    a, px = strip.subject.anatomy, strip.pixel_mm
    around, phase = strip.soft(a.around), strip.edge(a.rib_phase)
    rib = np.round(phase)
    height = (phase - rib) * (RIB_STEP_MM * 0.9 * a.frame.scale[0])
    u, v = (cavity - 6.0) / 3.7, height / 6.4
    distance = (np.sqrt(u * u + v * v) - 1.0) * 4.2
    z = strip.z.astype(np.float32)[:, None, None]
    # Cartilage joins the ribs to the sternum and ends lower down along the costal margin.
    last = np.clip(0.97 - (95.0 - z) * 0.0024, 0.7, 0.97)
    distance = np.maximum(distance, (around - last) * 120.0)
    distance = np.maximum(distance, (0.045 - around) * 200.0)
    distance = np.maximum(distance, 55.0 * (rib > 10.0).astype(np.float32) - 50.0)
    gristle = np.clip((around - 0.74) * 30.0, 0.0, 1.0)
    loss = strip.subject.person.bone_loss
    cortex = 820.0 - 180.0 * loss
    marrow = 230.0 - 110.0 * loss + 60.0 * mottle
    old = 60.0 + 60.0 * loss
    strip.fill(shapes.coverage(distance, px), cortex + gristle * (95.0 + old - cortex))
    strip.fill(shapes.coverage(distance + 1.3, px), marrow + gristle * (85.0 - marrow))


def _scapulae(strip: Strip, cavity: Field) -> None:
    a, px = strip.subject.anatomy, strip.pixel_mm
    low, high = 122.0 * a.frame.scale[0], 243.0 * a.frame.scale[0]
    if strip.z.max() < low or strip.z.min() > high:
        return
    around = strip.soft(a.around)
    z = strip.z.astype(np.float32)[:, None, None]
    height = np.clip((z - low) / (high - low), 0.0, 1.0)
    lateral = 0.235 + 0.175 * height**0.8
    medial = 0.225 - 0.065 * np.minimum(height * 2.0, 1.0)
    offset = 17.5 + 34.0 * np.maximum(around - medial, 0.0) * (0.5 + height)
    thick = 1.6 + 3.0 * np.clip((around - lateral + 0.05) * 20.0, 0.0, 1.0)
    distance = np.abs(cavity - offset) - thick
    distance = np.maximum(distance, np.maximum(around - lateral, medial - around) * 170.0)
    distance = np.maximum(distance, np.maximum(low - z, z - high))
    strip.fill(shapes.coverage(distance, px), 640.0)
    strip.fill(shapes.coverage(distance + 1.4, px), 260.0)


def _sternum(strip: Strip, cavity: Field) -> None:
    a = strip.subject.anatomy
    scale = a.frame.scale
    z_ref = strip.z / scale[0]
    rows = np.flatnonzero((z_ref > 84.0) & (z_ref < 226.0))
    middle = int(np.argmin(np.abs(strip.x - a.frame.to_patient(np.array([[150.0, -70.0, 1.0]]))[0, 2])))
    half = np.interp(z_ref, [84, 100, 150, 178, 196, 214, 226], [4, 13, 17, 15, 24, 30, 27]) * scale[2]
    columns = np.flatnonzero(np.abs(strip.x - strip.x[middle]) < half.max() + 3.0)
    if not columns.size:
        return
    for row in rows:
        inside = np.flatnonzero(cavity[row, :, middle] < 0)
        if not inside.size:
            continue
        y0 = strip.y[inside[0]] - 9.0
        lines = np.flatnonzero(np.abs(strip.y - y0) < 12.0)
        box = (slice(row, row + 1), slice(lines[0], lines[-1] + 1), slice(columns[0], columns[-1] + 1))
        x = (strip.x[box[2]] - strip.x[middle]).astype(np.float32)[None, None, :]
        y = (strip.y[box[1]] - y0).astype(np.float32)[None, :, None] - 0.004 * x * x
        distance = shapes.superellipse(x, y, float(half[row]), 5.6, 3.2)
        _bone(strip, distance, box, 470.0, 120.0 - 50.0 * strip.subject.person.bone_loss, 1.3)


def _spine(strip: Strip, mottle: Field) -> None:
    person, scale = strip.subject.person, strip.subject.anatomy.frame.scale
    spine = Spine.of(strip.subject.anatomy)
    for row, z in enumerate(strip.z):
        y0, x0 = float(np.interp(z, spine.z, spine.y)), float(np.interp(z, spine.z, spine.x))
        lines = np.flatnonzero((strip.y > y0 - 28.0) & (strip.y < y0 + 62.0))
        columns = np.flatnonzero(np.abs(strip.x - x0) < 46.0)
        if not lines.size or not columns.size:
            continue
        box = (slice(row, row + 1), slice(lines[0], lines[-1] + 1), slice(columns[0], columns[-1] + 1))
        y = (strip.y[box[1]] - y0).astype(np.float32)[None, :, None]
        x = (strip.x[box[2]] - x0).astype(np.float32)[None, None, :]
        _vertebra(strip, box, y, x, z / scale[0], mottle[box], person.bone_loss)


def _vertebra(
    strip: Strip, box: tuple[slice, slice, slice], y: Field, x: Field, z_ref: float, mottle: Field, loss: float
) -> None:
    px, hu = strip.pixel_mm, strip.hu[box]
    phase = z_ref / RIB_STEP_MM
    level = (phase - math.floor(phase)) * RIB_STEP_MM  # 0 and 25 are the middles of discs
    from_disc = min(level, RIB_STEP_MM - level)
    size = float(np.interp(z_ref, [-80, 60, 200, 280], [1.22, 1.0, 0.86, 0.78]))
    waist = 1.0 - 0.08 * min(max((from_disc - 3.0) / 9.0, 0.0), 1.0)
    ax = np.abs(x)
    # Back muscles beside the spinous processes, with fat around them.
    erector = shapes.ellipse(ax - 23.0, y - 36.0, 18.0, 13.0)
    rim = np.clip(1.0 - np.abs(erector) * 0.6, 0.0, 0.8)
    hu += rim * np.clip(0.7 + 0.5 * mottle, 0.0, 1.0) * (-85.0 - hu)
    body = shapes.ellipse(x, y, 16.5 * size * waist, 13.8 * size * waist)
    body = shapes.without(body, shapes.ellipse(x, y - (21.5 * size), 9.5 * size, 9.5 * size), 3.0)
    bone = np.maximum(body, (2.6 - from_disc))
    hu += shapes.coverage(body, px) * (92.0 - hu)
    marrow = (215.0 - 120.0 * loss) + 38.0 * mottle
    _bone(strip, bone, box, 620.0 - 150.0 * loss, marrow, 1.2)
    canal = shapes.ellipse(x, y - (20.0 * size), 9.8 * size, 7.6 * size)
    ring = shapes.ellipse(x, y - (20.5 * size), 15.0 * size, 12.5 * size)
    pedicle = level > 11.0
    arch = shapes.without(ring, canal, 1.5)
    if not pedicle:  # between the pedicles only the laminae close the canal
        arch = np.maximum(arch, (22.0 * size) - y)
    length = 15.0 + 9.0 * math.cos(2.0 * math.pi * (phase - 0.2))
    spinous = shapes.superellipse(x, y - (31.0 * size + 0.5 * length), 2.9, 0.5 * length + 2.0, 3.0)
    arch = shapes.union(arch, spinous, 3.0)
    if level > 12.0:
        process = np.abs(y - 21.0 - 0.42 * (ax - 13.0)) - 3.8
        process = np.maximum(process, np.maximum(ax - (33.0 * size), 11.0 - ax))
        arch = shapes.union(arch, process, 3.0)
    hu += shapes.coverage(canal, px) * (18.0 - hu)
    cord = shapes.ellipse(x, y - (20.0 * size), 5.2, 4.0)
    hu += shapes.coverage(cord, px) * (38.0 - hu)
    _bone(strip, arch, box, 700.0 - 150.0 * loss, (300.0 - 120.0 * loss), 1.5)


def tubes(a: Anatomy) -> tuple[Tubes, Tubes]:
    """Collar bones, shoulder joints and upper arms: their outside and their marrow."""
    outer: list[Tubes] = []
    for sign in (-1.0, 1.0):
        clavicle = [(222, -46, 17), (228, -43, 36), (243, -27, 72), (256, -2, 112), (262, 16, 148)]
        joint = [(222, 44, 116), (226, 34, 134), (227, 30, 142)]
        spine = [(214, 84, 92), (226, 78, 118), (246, 56, 150), (258, 30, 160)]
        coracoid = [(232, 28, 132), (240, 8, 128)]
        arm = [(232, 26, 166), (262, 12, 190), (320, -8, 215)]
        chains = [
            (clavicle, [7.5, 6.5, 5.5, 5.5, 6.0]),
            (joint, [5.0, 10.0, 12.0]),
            (spine, [2.5, 4.0, 5.0, 6.0]),
            (coracoid, [5.0, 5.0]),
            (arm, [20.0, 14.0, 11.0]),
        ]
        for nodes, radius in chains:
            course = np.array(nodes, np.float64) * [1.0, 1.0, sign]
            outer.append(Tubes.along(a.frame.to_patient(course), np.array(radius)))
    bone = Tubes.join(outer)
    marrow = Tubes(bone.start, bone.end, np.maximum(bone.radius - 1.9, 0.05))
    return bone, marrow
