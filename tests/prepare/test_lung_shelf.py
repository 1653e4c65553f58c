"""The lung by thresholds on a shelf of bodies that make it hard to find; what is right is what they were made of."""

import numpy as np
import pytest
from scipy import ndimage

from prepare import shelf
from triplenet.prepare.lung import find_lungs, lung_mask


def found(subject):
    return lung_mask(subject.hu, subject.spacing_mm) > 0


def dice(a, b):
    return 2 * np.logical_and(a, b).sum() / (a.sum() + b.sum())


def litres(mask, subject):
    return mask.sum() * np.prod(subject.spacing_mm) / 1e6


def field(radius_mm, aside_mm=0.0):
    chest = shelf.chest()
    middle = chest.hu.shape[1] / 2
    return shelf.circle(chest, middle, middle + aside_mm / chest.spacing_mm[2], radius_mm)


def cardiac(square=False):
    """A small field around the heart, as it is reconstructed: a square picture, with padding or without."""
    chest = shelf.chest()
    inside = field(95)
    rows = np.flatnonzero(inside.any(axis=1))
    around = slice(rows[0], rows[-1] + 1)
    return (chest if square else chest.within(inside)).cropped(slice(8, 40), around, around)


def within_the_chest():
    """A box that cuts the lungs on all six sides."""
    chest = shelf.chest()
    box = [slice(int(line.min()) + 4, int(line.max()) - 4) for line in np.nonzero(chest.lung)]
    return chest.cropped(*box)


HARD = {
    "whole": shelf.chest,
    "arms beside the body": lambda: shelf.chest(4),
    "the field cuts the left lung": lambda: shelf.chest().within(field(130, -60)),
    "the field cuts the right lung": lambda: shelf.chest().within(field(130, 60)),
    "padding as bright as air": lambda: shelf.chest().within(field(130, -60), -1000),
    "cardiac field": cardiac,
    "cardiac field without padding": lambda: cardiac(square=True),
    "cropped on all sides": within_the_chest,
    "noise of a sharp kernel": lambda: shelf.chest().with_noise(90),
    "a soft kernel": lambda: shelf.chest().blurred(1.8),
    "slices of 8 mm": lambda: shelf.chest(0, 8.0),
    "ten slices below the apices": lambda: shelf.chest().cropped(slice(-24, -14)),
    "ten slices at the heart": lambda: shelf.chest().cropped(slice(28, 38)),
    "one slice": lambda: shelf.chest().cropped(slice(30, 31)),
}


@pytest.mark.parametrize("name", HARD)
def test_both_lungs_are_found(name):
    subject = HARD[name]()
    assert dice(found(subject), subject.lung) > 0.96


@pytest.mark.parametrize("name", ["whole", "cardiac field", "the field cuts the left lung", "cropped on all sides"])
def test_each_lung_has_its_side(name):
    subject = HARD[name]()
    lungs = find_lungs(subject.hu, subject.spacing_mm)
    right, left = ((lungs.sides == side).sum() * np.prod(lungs.grid.spacing_mm) / 1e6 for side in (1, 2))
    # The phantom stands in the middle of its picture, its right on the left of it.
    columns = np.arange(subject.lung.shape[2])
    labels, _ = ndimage.label(ndimage.binary_erosion(subject.lung, iterations=1))
    two = np.argsort(np.bincount(labels.ravel())[1:])[-2:] + 1
    true = sorted(((labels == n) @ columns).sum() / (labels == n).sum() for n in two)
    parting = int(sum(true) / 2)
    assert right == pytest.approx(litres(subject.lung[:, :, :parting], subject), rel=0.1)
    assert left == pytest.approx(litres(subject.lung[:, :, parting:], subject), rel=0.1)


@pytest.mark.parametrize("thickness_mm", [4.0, 8.0])
@pytest.mark.parametrize("stool", [False, True])
def test_gas_in_stomach_and_colon_is_no_lung(stool, thickness_mm):
    chest = shelf.chest(0, thickness_mm)
    stomach, colon = shelf.belly(chest)
    subject = chest.with_gas(stomach).with_gas(colon, shelf.stool(chest) if stool else -990.0)
    mask = found(subject)
    assert litres(subject.no_lung, subject) > 0.1
    assert litres(mask & subject.no_lung, subject) < 0.003
    assert dice(mask, subject.lung) > 0.96


def test_trachea_and_main_bronchi_are_no_lung():
    chest = shelf.chest()
    tissue = ndimage.binary_opening(chest.hu > -300, np.ones((1, 5, 5)))
    before = np.logical_or.accumulate(tissue, axis=1)
    behind = np.logical_or.accumulate(tissue[:, ::-1], axis=1)[:, ::-1]
    airways = (chest.hu < -930) & ~chest.lung & before & behind
    middle = chest.hu.shape[2] // 2
    airways[:, :, : middle - 20] = airways[:, :, middle + 20 :] = False
    assert litres(airways, chest) > 0.01
    assert (found(chest) & airways).sum() < 0.1 * airways.sum()


@pytest.mark.parametrize("name", ["head", "a skull filled with air", "abdomen"])
def test_where_there_is_no_lung_none_is_found(name):
    subject = {
        "head": shelf.head,
        "a skull filled with air": lambda: shelf.head(-1000),
        "abdomen": shelf.abdomen,
    }[name]()
    assert litres(subject.no_lung, subject) > 0.05
    assert found(subject).sum() == 0


def test_it_is_the_same_lung_whatever_the_pixels():
    """A wider field of view has larger pixels, and the same lungs in it."""
    chest = shelf.chest(0, 4.0)
    finer = shelf.chest(0, 4.0, 256)
    fine, coarse = (litres(found(one), one) for one in (finer, chest))
    assert fine == pytest.approx(coarse, rel=0.02)
    assert dice(found(finer), finer.lung) > 0.98
