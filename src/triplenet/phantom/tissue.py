"""From fields to Hounsfield units: the slices of a person as a perfect scanner would see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from triplenet.phantom import skeleton
from triplenet.phantom.lattice import Field
from triplenet.phantom.shapes import coverage
from triplenet.phantom.slab import AIR, Strip, blend
from triplenet.phantom.tubes import Coverage

SKIN, FAT, MUSCLE, BLOOD, LIVER, SPLEEN, FLUID = 15.0, -104.0, 54.0, 42.0, 57.0, 49.0, 8.0


@dataclass(frozen=True)
class Shares:
    """How much of each voxel is what, 0..1, axes (K, Y, X)."""

    lung: Field
    extent: Field
    """A lesion."""
    solid: Field
    """Consolidation."""
    hollow: Field
    """A cavity's air."""
    fluid: Field
    """Pleural fluid."""

    def window(self, rows: slice, columns: slice) -> Shares:
        """Views of a part."""
        return Shares(*(getattr(self, f.name)[:, rows, columns] for f in fields(self)))

    def averaged(self, parts: int) -> Shares:
        """Means over ``parts`` heights of each slice."""
        return Shares(*(average(getattr(self, f.name), parts) for f in fields(self)))


def average(values: Field, parts: int) -> Field:
    """The mean of each ``parts`` heights: (K * parts, Y, X) -> (K, Y, X)."""
    if parts == 1:
        return values
    mean: Field = values.reshape(-1, parts, *values.shape[1:]).mean(axis=1, dtype=np.float32)
    return mean


def trunk(strip: Strip) -> Field:
    """Skin, fat, muscles, what the upper abdomen holds, bones; the lungs still hold fat. Returns the cavity."""
    s, px = strip.subject, strip.pixel_mm
    a = s.anatomy
    mottle = strip.texture(s.patterns.mottle)
    skin, muscle, cavity = strip.edge(a.skin), strip.edge(a.muscle), strip.edge(a.cavity)
    fat = FAT + 7.0 * mottle
    # Strands of connective tissue in the fat, and planes of fat between the muscles.
    strand = np.clip(1.0 - np.abs(mottle - 0.9) * 9.0, 0.0, 1.0)
    meat = MUSCLE + 5.0 * mottle
    layer = strip.soft(a.planes)
    plane = np.clip(1.15 - np.abs(layer - np.rint(layer)) * 16.0, 0.0, 0.9)
    plane *= np.clip(0.3 + 0.2 * mottle + strip.texture(s.patterns.mottle, 6.0), 0.0, 1.0)
    plane *= np.clip((cavity - 9.0) * 0.5, 0.0, 1.0)
    meat += plane * (fat - meat)
    strip.fill(coverage(skin, px), SKIN)
    strip.fill(coverage(skin + 1.8, px), fat + strand * 55.0)
    if strip.near(a.breast):
        gland = strip.soft(a.breast) + 9.0 + 7.0 * mottle
        strip.fill(coverage(np.maximum(gland, skin + 3.0), 4.0) * 0.75, 25.0)
    strip.fill(coverage(muscle, px), meat)
    if strip.near(a.arms):
        arms = strip.edge(a.arms)
        strip.fill(coverage(arms, px), SKIN)
        strip.fill(coverage(arms + 1.8, px), fat)
        strip.fill(coverage(arms + (0.3 * s.person.fat_mm + 5.0), px), meat)
    if strip.near(a.axilla):
        axilla = strip.soft(a.axilla) + 2.0 * mottle
        strip.fill(coverage(axilla, 3.0), fat + strand * 70.0)
    strip.fill(coverage(cavity, px), fat + strand * 40.0)
    _abdomen(strip, cavity, mottle)
    if strip.near(a.pericardium):
        heart, sac = strip.edge(a.heart), strip.edge(a.pericardium)
        margin = max(s.person.mediastinal_fat_mm - 0.8, 0.6)
        strip.fill(np.clip(1.0 - np.abs(sac - margin) * 0.9, 0.0, 0.7), 25.0)
        strip.fill(coverage(heart, px), (BLOOD + 3.0) + 3.0 * mottle)
    skeleton.draw(strip, cavity, mottle)
    return cavity


def _abdomen(strip: Strip, cavity: Field, mottle: Field) -> None:
    a, px = strip.subject.anatomy, strip.pixel_mm
    organs = a.organs
    if strip.z.min() > a.frame.scale[0] * 125.0:
        return
    muscle = np.clip(1.0 - np.abs(strip.soft(a.diaphragm) - 1.2) * 0.6, 0.0, 1.0)
    strip.fill(muscle * coverage(cavity, px), MUSCLE)
    if strip.near(organs.liver):
        strip.fill(coverage(strip.edge(organs.liver), px), LIVER + 2.0 * mottle)
    if strip.near(organs.spleen):
        strip.fill(coverage(strip.edge(organs.spleen), px), SPLEEN)
    if strip.near(organs.stomach):
        stomach = strip.edge(organs.stomach)
        strip.fill(coverage(stomach, px), 40.0)
        grain = strip.texture(strip.subject.patterns.grain)
        crumbs = 30.0 + 22.0 * mottle - 500.0 * np.clip(grain + 0.3 * mottle - 1.7, 0.0, 1.0)
        strip.fill(coverage(stomach + 4.0, px), crumbs)
        # Gas rises to the front.
        level = strip.y.astype(np.float32)[None, :, None] + (26.0 * a.frame.scale[1])
        strip.fill(coverage(np.maximum(stomach + 4.0, level), px), AIR)
    if strip.near(organs.bowel):
        bowel = strip.edge(organs.bowel)
        strip.fill(coverage(bowel, px), 35.0)
        strip.fill(coverage(bowel + 2.5 + 1.5 * mottle, px), 740.0 * (mottle > 0.4).astype(np.float32) - 990.0)


def _lungs(strip: Strip, lung: Field) -> Field:
    """Parenchyma with what is wrong with it, without vessels and airways; returns the share consolidated."""
    s, px = strip.subject, strip.pixel_mm
    lesions = s.lesions
    mottle, grain = strip.texture(s.patterns.mottle), strip.texture(s.patterns.grain)
    parenchyma = strip.soft(s.lungs.density) + 7.0 * mottle + 9.0 * grain
    if s.person.emphysema > 0:
        hole = np.clip((mottle - 1.25 + 2.2 * strip.soft(s.lungs.holes)) * 1.6, 0.0, 1.0)
        parenchyma += hole * (-965.0 - parenchyma)
    haze = strip.soft(lesions.haze)
    if s.patterns.septa is not None and strip.near(-lesions.paving, 0.0):
        septa = strip.texture(s.patterns.septa)
        line = np.clip(1.25 - septa / max(0.8, 0.5 * px), 0.0, 1.0)
        haze = haze + line * strip.soft(lesions.paving) * min(190.0, 190.0 * 1.6 / px)
    haze = haze * np.clip(1.0 + 0.3 * mottle + 0.22 * grain, 0.2, 1.9)
    if s.person.atelectasis_mm > 0:
        haze = haze + strip.soft(s.lungs.haze) * (1.0 + 0.2 * mottle)
    # A thin line where two lobes meet.
    fissure = np.clip(1.0 - np.abs(strip.soft(s.anatomy.fissure)) / max(0.7, px), 0.0, 1.0)
    haze = haze + fissure * min(75.0, 75.0 / px)
    parenchyma += np.minimum(haze, 860.0)
    strip.fill(coverage(lung, px), parenchyma)
    if not strip.near(lesions.solid):
        return np.zeros_like(lung)
    solid = strip.edge(lesions.solid) + 2.6 * mottle + 1.3 * grain
    share = coverage(np.maximum(solid, lung), max(px, 2.0))
    strip.fill(share, 32.0 + 10.0 * mottle)
    return share


def _lung(strip: Strip, cavity: Field) -> Field:
    """The lungs' distance; joined here, since the lattice is too coarse for the thin edge of their bases."""
    a = strip.subject.anatomy
    lung = np.maximum(cavity, -strip.edge(a.mediastinum))
    if strip.near(-a.diaphragm):
        lung = np.maximum(lung, strip.edge(a.diaphragm))
    return np.asarray(lung)


def chest(strip: Strip) -> Shares:
    """Draw trunk and lungs with their lesions."""
    px, lesions = strip.pixel_mm, strip.subject.lesions
    cavity = trunk(strip)
    lung = _lung(strip, cavity)
    shares = Shares(*(np.zeros_like(lung) for _ in fields(Shares)))
    rows, columns = _bounds(np.asarray((lung < px).any(axis=0)))
    part, own = strip.window(rows, columns), shares.window(rows, columns)
    lung = lung[:, rows, columns]
    effusion = part.near(lesions.fluid)
    if effusion:
        fluid = part.edge(lesions.fluid)
        own.fluid[:] = coverage(fluid, px)
        part.fill(own.fluid, FLUID)
        lung = np.maximum(lung, -fluid)
    own.lung[:] = coverage(lung, px)
    own.solid[:] = _lungs(part, lung)
    if effusion:  # it presses the lung beside it together
        part.fill(np.clip(1.0 - fluid / 5.0, 0.0, 0.85) * own.lung, 35.0)
    if part.near(lesions.extent):
        own.extent[:] = coverage(np.maximum(part.edge(lesions.extent), lung), px)
    if part.near(lesions.hollow):
        own.hollow[:] = coverage(np.maximum(part.edge(lesions.hollow), lung), px)
        part.fill(own.hollow, -975.0)
    return shares


def _bounds(inside: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns that hold a mask (Y, X)."""
    sides = []
    for axis in (1, 0):
        line = np.flatnonzero(inside.any(axis=axis))
        sides.append(slice(int(line[0]), int(line[-1]) + 1) if line.size else slice(0, 0))
    return sides[0], sides[1]


def overlay(hu: Field, painted: Mapping[str, Coverage], shares: Shares) -> None:
    """Tubes over slices already averaged: bones outside the lungs, then blood, airways, calcification."""
    aerated = 1.0 - shares.fluid
    tissue = aerated - shares.hollow
    values: dict[str, tuple[float, Field]] = {
        "bone": (640.0, 1.0 - shares.lung),
        "marrow": (250.0, 1.0 - shares.lung),
        "blood": (BLOOD, tissue),
        "wall": (10.0, tissue),
        "lumen": (-985.0, aerated),
        "bullae": (-985.0, shares.lung),
        "bronchogram": (-900.0, shares.solid),
        "calcified": (620.0, aerated),
    }
    for name, (value, where) in values.items():
        if name in painted:
            blend(hu, painted[name] * np.float32(1.0 / 255.0) * where, value)


def draw_blanket(strip: Strip) -> None:
    """A sheet that lies loosely on the body."""
    skin = strip.soft(strip.subject.anatomy.skin)
    x, z = strip.x.astype(np.float32)[None, None, :], strip.z.astype(np.float32)[:, None, None]
    gap = 7.0 + 3.0 * np.sin(x / 29.0 + z / 41.0)
    front = np.clip(-strip.y.astype(np.float32)[None, :, None] / 20.0, 0.0, 1.0)
    strip.fill(coverage(np.abs(skin - gap) - 0.3, strip.pixel_mm) * front, -620.0)
