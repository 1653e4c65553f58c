"""The scan of a subject: strips of slices, drawn, averaged over their thickness and passed through the scanner."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from triplenet.phantom import tissue
from triplenet.phantom import vessels_and_bones as courses
from triplenet.phantom.detector import Detector
from triplenet.phantom.lattice import Field, Points
from triplenet.phantom.scanner import Protocol
from triplenet.phantom.shapes import coverage
from triplenet.phantom.slab import AIR, Strip, Subject, blend
from triplenet.phantom.tubes import Raster
from triplenet.scan.volume import HuArray, MaskArray

_PIXELS_AT_ONCE = 260_000


def render(
    subject: Subject, protocol: Protocol, raster: Raster, rng: np.random.Generator
) -> tuple[HuArray, MaskArray, MaskArray]:
    """HU, infection mask and lung mask, each (Z, Y, X)."""
    parts = max(1, int(np.ceil(protocol.thickness_mm / 2.6)))
    painted = courses.paint_all(
        subject, raster, max(1, round(protocol.thickness_mm / max(0.8, 0.5 * protocol.pixel_mm))), rng
    )
    detector = Detector(protocol, rng)
    background = _table(subject, protocol, raster)
    padded = _outside(raster)
    fill = -1024 if protocol.padding_hu is None else protocol.padding_hu
    z, y, x = (raster.axis(k) for k in range(3))
    rows = _body_rows(subject, y)
    at_once = max(1, _PIXELS_AT_ONCE // (parts * (rows.stop - rows.start) * len(x)))
    offsets = ((np.arange(parts) + 0.5) / parts - 0.5) * protocol.thickness_mm
    hu = np.empty(raster.shape, np.int16)
    infection, lungs = np.zeros(raster.shape, np.uint8), np.zeros(raster.shape, np.uint8)
    falloff = _noise_map(subject, raster)
    for first in range(0, len(z), at_once):
        chosen = slice(first, min(first + at_once, len(z)))
        heights = (z[chosen, None] + offsets).ravel()
        ground = np.repeat(background[None, rows], len(heights), axis=0)
        strip = Strip(subject, heights, y[rows], x, protocol.pixel_mm, ground)
        if protocol.blanket:
            tissue.draw_blanket(strip)
        shares = tissue.chest(strip).averaged(parts)
        body = tissue.average(strip.hu, parts)
        here = {name: volume[chosen, rows] for name, volume in painted.items()}
        tissue.overlay(body, here, shares)
        within = shares.lung >= 0.5
        ill = shares.extent >= 0.5
        if "nodules" in here:
            ill |= here["nodules"] >= 128
        infection[chosen, rows], lungs[chosen, rows] = ill & within, within
        image = np.repeat(background[None], len(body), axis=0)
        image[:, rows] = body
        z_ref = z[chosen] / subject.anatomy.frame.scale[0]
        if subject.person.motion_mm > 0:
            _motion_artefact(image, z_ref, subject.person.motion_mm / protocol.pixel_mm)
        thick = np.clip((body.mean(axis=(1, 2)) + 1000.0) / 620.0, 0.4, 2.0) ** 0.9
        amplitude = falloff * (protocol.noise_hu * thick).astype(np.float32)[:, None, None]
        scanned = detector.scan(image, amplitude, np.clip((z_ref - 222.0) / 45.0, 0.12, 0.7))
        np.clip(np.rint(scanned, out=scanned), -1024, 3071, out=scanned)
        hu[chosen] = scanned
        hu[chosen][:, padded] = fill
    return hu, infection, lungs


def _body_rows(subject: Subject, y: Points) -> slice:
    """The rows in which anything of the body lies."""
    lattice = subject.anatomy.lattice
    skin = np.minimum(subject.anatomy.skin, subject.anatomy.arms)
    inside = np.flatnonzero((skin < 12.0).any(axis=(0, 2)))
    low, high = (lattice.origin_mm[1] + lattice.spacing_mm * inside[k] for k in (0, -1))
    seen = np.flatnonzero((y >= low - 2.0) & (y <= high + 2.0))
    return slice(int(seen[0]), int(seen[-1]) + 1)


def _outside(raster: Raster) -> npt.NDArray[np.bool_]:
    """Pixels (Y, X) outside the circle that the scanner reconstructs."""
    _, rows, columns = raster.shape
    y = np.arange(rows)[:, None] - 0.5 * (rows - 1)
    x = np.arange(columns)[None, :] - 0.5 * (columns - 1)
    out: npt.NDArray[np.bool_] = np.hypot(y, x) > 0.5 * rows + 0.25
    return out


def _noise_map(subject: Subject, raster: Raster) -> Field:
    """Noise (Y, X) against its value in the middle: fewer quanta reach the middle of a body."""
    person = subject.person
    y, x = raster.axis(1)[:, None], raster.axis(2)[None, :]
    half_width, half_depth = 172.0 * person.scale[2] + person.fat_mm, 108.0 * person.scale[1] + person.fat_mm
    rho = ((y - 10.0) / half_depth) ** 2 + (x / half_width) ** 2
    return (0.3 + 0.7 * np.exp(-0.9 * rho)).astype(np.float32)


def _table(subject: Subject, protocol: Protocol, raster: Raster) -> Field:
    """Air and the table (Y, X): it is the same in every slice."""
    a, px = subject.anatomy, protocol.pixel_mm
    lattice = a.lattice
    sagging = 900.0 if protocol.model.table == "curved" else 1e9
    lx = lattice.axes()[2][0]
    ly = lattice.axes()[1][0]
    back = np.where(a.skin.min(axis=0) < 0, ly + lx * lx / (2.0 * sagging), -1e3)
    top = float(back.max()) + lattice.spacing_mm * 0.5 + protocol.table_mm
    y = raster.axis(1).astype(np.float32)[:, None]
    x = raster.axis(2).astype(np.float32)[None, :]
    depth = y - top + x * x / (2.0 * sagging)
    edge = np.abs(x) - (215.0 if protocol.model.table == "curved" else 196.0)
    image = np.full(depth.shape, AIR, np.float32)
    width = max(px, 1.6)

    def layer(start: float, end: float, hu: float) -> None:
        distance = np.maximum(np.maximum(start - depth, depth - end), edge)
        blend(image, coverage(distance, width), hu)

    if protocol.model.table == "curved":
        layer(0.0, 16.0, -960.0)
        layer(0.0, 1.3, -760.0)
        layer(15.0, 47.0, -935.0)
        layer(15.0, 17.0, -180.0)
        layer(45.0, 47.2, -90.0)
    else:
        layer(0.0, 9.0, -910.0)
        layer(9.0, 50.0, -965.0)
        layer(9.0, 10.6, -260.0)
        layer(47.0, 49.0, -160.0)
        frame = np.maximum(np.abs(np.abs(x) - 100.0) - 1.5, np.maximum(30.0 - depth, depth - 48.0))
        blend(image, coverage(frame, width), 150.0)
    return image


def _motion_artefact(image: Field, z_ref: Points, pixels: float) -> None:
    """Movement during a turn of the tube: a second, displaced outline near the heart and the diaphragm."""
    for row, height in enumerate(z_ref):
        share = 0.45 * math.exp(-(((float(height) - 85.0) / 55.0) ** 2))
        step = round(pixels * (0.7 + 0.3 * math.sin(height / 9.0)))
        if share < 0.03 or step == 0:
            continue
        moved = np.roll(image[row], (step, step // 2), axis=(0, 1))
        image[row] += share * (moved - image[row])
