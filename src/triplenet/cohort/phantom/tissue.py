"""From fields to Hounsfield units: the slices of a person as a perfect scanner would see them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from triplenet.cohort.phantom import skeleton
from triplenet.cohort.phantom.lattice import Field
from triplenet.cohort.phantom.shapes import coverage
from triplenet.cohort.phantom.strip import AIR, Strip, blend
from triplenet.cohort.phantom.tubes import Coverage

SKIN, FAT, MUSCLE, BLOOD, LIVER, SPLEEN, FLUID = 15.0, -104.0, 54.0, 42.0, 57.0, 49.0, 8.0


def trunk(strip: Strip) -> None:
    """Skin, fat, muscles, what the upper abdomen holds, bones; the lungs still hold fat."""
    s, px = strip.subject, strip.pixel_mm
    a = s.anatomy
    mottle = strip.texture(s.patterns.mottle)
    skin, muscle, cavity = strip.read(a.skin), strip.read(a.muscle), strip.read(a.cavity)
    fat = FAT + 7.0 * mottle
    # Strands of connective tissue in the fat, and planes of fat between the muscles.
    strand = np.clip(1.0 - np.abs(mottle - 0.9) * 9.0, 0.0, 1.0)
    meat = MUSCLE + 5.0 * mottle
    layer = strip.read(a.planes)
    plane = np.clip(1.15 - np.abs(layer - np.rint(layer)) * 16.0, 0.0, 0.9)
    plane *= np.clip(0.3 + 0.2 * mottle + strip.texture(s.patterns.mottle, 6.0), 0.0, 1.0)
    plane *= np.clip((cavity - 9.0) * 0.5, 0.0, 1.0)
    meat += plane * (fat - meat)
    strip.fill(coverage(skin, px), SKIN)
    strip.fill(coverage(skin + 1.8, px), fat + strand * 55.0)
    if s.person.breast_mm > 0:
        gland = strip.read(a.breast) + 9.0 + 7.0 * mottle
        strip.fill(coverage(gland, 4.0) * 0.75, 25.0)
    strip.fill(coverage(muscle, px), meat)
    if s.person.arms_down:
        arms = strip.read(a.arms)
        strip.fill(coverage(arms, px), SKIN)
        strip.fill(coverage(arms + 1.8, px), fat)
        strip.fill(coverage(arms + (0.3 * s.person.fat_mm + 5.0), px), meat)
    axilla = strip.read(a.axilla) + 2.0 * mottle
    strip.fill(coverage(axilla, 3.0), fat + strand * 70.0)
    strip.fill(coverage(cavity, px), fat + strand * 40.0)
    _abdomen(strip, mottle)
    heart, sac = strip.read(a.heart), strip.read(a.pericardium)
    margin = max(s.person.mediastinal_fat_mm - 0.8, 0.6)
    pericardium = np.clip(1.0 - np.abs(sac - margin) * 0.9, 0.0, 0.7)
    strip.fill(pericardium, 25.0)
    strip.fill(coverage(heart, px), (BLOOD + 3.0) + 3.0 * mottle)
    skeleton.draw(strip, cavity, mottle)


def _abdomen(strip: Strip, mottle: Field) -> None:
    a, px = strip.subject.anatomy, strip.pixel_mm
    if strip.z.min() > a.frame.scale[0] * 125.0:
        return
    crus = strip.read(a.diaphragm)
    cavity_muscle = np.clip(1.0 - np.abs(crus - 1.2) * 0.6, 0.0, 1.0)
    inside = coverage(strip.read(a.cavity), px)
    strip.fill(cavity_muscle * inside, MUSCLE)
    strip.fill(coverage(strip.read(a.organs.liver), px), LIVER + 2.0 * mottle)
    strip.fill(coverage(strip.read(a.organs.spleen), px), SPLEEN)
    stomach = strip.read(a.organs.stomach)
    strip.fill(coverage(stomach, px), 40.0)
    grain = strip.texture(strip.subject.patterns.grain)
    crumbs = 30.0 + 22.0 * mottle - 500.0 * np.clip(grain + 0.3 * mottle - 1.7, 0.0, 1.0)
    strip.fill(coverage(stomach + 4.0, px), crumbs)
    # Gas rises to the front of the stomach and of the bowel.
    level = strip.y.astype(np.float32)[None, :, None] + (26.0 * a.frame.scale[1])
    strip.fill(coverage(np.maximum(stomach + 4.0, level), px), AIR)
    bowel = strip.read(a.organs.bowel)
    strip.fill(coverage(bowel, px), 35.0)
    strip.fill(coverage(bowel + 2.5 + 1.5 * mottle, px), 740.0 * (mottle > 0.4).astype(np.float32) - 990.0)


def _lungs(strip: Strip, lung: Field) -> Field:
    """Parenchyma with what is wrong with it, without vessels and airways; returns the share consolidated."""
    s, px = strip.subject, strip.pixel_mm
    lesions = s.lesions
    mottle, grain = strip.texture(s.patterns.mottle), strip.texture(s.patterns.grain)
    parenchyma = strip.read(s.lungs.density) + 7.0 * mottle + 9.0 * grain
    if s.person.emphysema > 0:
        hole = np.clip((mottle - 1.25 + 2.2 * strip.read(s.lungs.holes)) * 1.6, 0.0, 1.0)
        parenchyma += hole * (-965.0 - parenchyma)
    haze = strip.read(lesions.haze)
    if s.patterns.septa is not None:
        septa = strip.texture(s.patterns.septa)
        line = np.clip(1.25 - septa / max(0.8, 0.5 * px), 0.0, 1.0)
        haze = haze + line * strip.read(lesions.paving) * min(190.0, 190.0 * 1.6 / px)
    haze = haze * np.clip(1.0 + 0.3 * mottle + 0.22 * grain, 0.2, 1.9)
    if s.person.atelectasis_mm > 0:
        haze = haze + strip.read(s.lungs.haze) * (1.0 + 0.2 * mottle)
    # A thin line where two lobes meet.
    fissure = np.clip(1.0 - np.abs(strip.read(s.anatomy.fissure)) / max(0.7, px), 0.0, 1.0)
    haze = haze + fissure * min(75.0, 75.0 / px)
    parenchyma += np.minimum(haze, 860.0)
    strip.fill(coverage(lung, px), parenchyma)
    if not lesions.consolidated:
        return np.zeros_like(lung)
    solid = strip.read(lesions.solid) + 2.6 * mottle + 1.3 * grain
    share = coverage(np.maximum(solid, lung), max(px, 2.0))
    strip.fill(share, 32.0 + 10.0 * mottle)
    return share


def chest(strip: Strip) -> tuple[Field, Field, Field, Field]:
    """Trunk and lungs with their lesions.

    :returns: how much of each voxel is lung, lesion, consolidation and the hollow of a cavity
    """
    s, px = strip.subject, strip.pixel_mm
    lesions = s.lesions
    trunk(strip)
    lung = strip.read(s.anatomy.lung)
    if lesions.effusion:
        fluid = strip.read(lesions.fluid)
        strip.fill(coverage(fluid, px), FLUID)
        lung = np.maximum(lung, -fluid)
    solid = _lungs(strip, lung)
    if lesions.effusion:  # it presses the lung beside it together
        pressed = np.clip(1.0 - fluid / 5.0, 0.0, 0.85)
        strip.fill(pressed * coverage(lung, px), 35.0)
    hollow = coverage(np.maximum(strip.read(lesions.hollow), lung), px)
    strip.fill(hollow, -975.0)
    extent = coverage(np.maximum(strip.read(lesions.extent), lung), px)
    return coverage(lung, px), extent, solid, hollow


def overlay(hu: Field, painted: Mapping[str, Coverage], lung: Field, solid: Field, hollow: Field) -> None:
    """Tubes over slices already averaged: bones outside the lungs, then blood, airways, chalk.

    :param lung: how much of each voxel is lung, likewise ``solid`` consolidation and ``hollow`` a cavity
    """
    one = np.ones(1, np.float32)
    values: dict[str, tuple[float, Field]] = {
        "bone": (640.0, one - lung),
        "marrow": (250.0, one - lung),
        "blood": (BLOOD, one - hollow),
        "wall": (10.0, one - hollow),
        "lumen": (-985.0, one),
        "bronchogram": (-900.0, solid),
        "calcified": (620.0, one),
    }
    for name, (value, where) in values.items():
        if name in painted:
            blend(hu, painted[name] * np.float32(1.0 / 255.0) * where, value)


def blanket(strip: Strip) -> None:
    """A sheet that lies loosely on the body."""
    skin = strip.read(strip.subject.anatomy.skin)
    x, z = strip.x.astype(np.float32)[None, None, :], strip.z.astype(np.float32)[:, None, None]
    gap = 7.0 + 3.0 * np.sin(x / 29.0 + z / 41.0)
    front = np.clip(-strip.y.astype(np.float32)[None, :, None] / 20.0, 0.0, 1.0)
    strip.fill(coverage(np.abs(skin - gap) - 0.3, strip.pixel_mm) * front, -620.0)
