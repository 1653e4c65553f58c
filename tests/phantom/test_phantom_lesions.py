"""The lesions of each finding lie and look as the consensus statement says (Simpson et al. 2020)."""

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from triplenet import phantom

SIZE = {"matrix": 96, "thickness_mm": 6.0}
INDETERMINATE = ("perihilar", "diffuse", "one-sided", "sparse")
ATYPICAL = ("lobar", "tree-in-bud", "cavitation", "septal")


@cache
def make(finding, pattern, index):
    return phantom.patient(17, index, finding=finding, pattern=pattern, **SIZE)


def typical():
    return [make("typical", "peripheral", index) for index in range(5)]


def indeterminate():
    return [make("indeterminate", pattern, 10 + k) for k, pattern in enumerate(INDETERMINATE)]


def atypical():
    return [make("atypical", pattern, 20 + k) for k, pattern in enumerate(ATYPICAL)]


def everyone():
    return [*typical(), *indeterminate(), *atypical(), make("negative", "none", 30)]


def sides(made):
    """Infected voxels of the right and the left lung."""
    # The lungs' middle column parts them well enough: what lies between them is no lung.
    middle = int(np.argwhere(made.lung.any(axis=(0, 1))).mean())
    return int(made.infection[:, :, :middle].sum()), int(made.infection[:, :, middle:].sum())


def wall_depth_mm(made):
    """How far each infected voxel lies from the chest wall, in its slice."""
    depths = []
    for lung, infection in zip(made.lung, made.infection, strict=True):
        chest = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(lung, 24), iterations=20))
        depth = ndimage.distance_transform_edt(chest, sampling=made.geometry.spacing_mm[1:])[24:-24, 24:-24]
        depths.append(depth[infection > 0])
    return np.concatenate(depths)


def is_bilateral(made):
    return min(sides(made)) > 0


def is_peripheral(made):
    return np.median(wall_depth_mm(made)) < 16.0


def middle_of(mask):
    return np.argwhere(mask).mean(axis=0)


def test_masks_are_binary_and_the_infection_lies_within_the_lungs():
    for made in everyone():
        assert made.lung.dtype == made.infection.dtype == np.uint8
        assert set(np.unique(made.lung)) == {0, 1}
        assert not (made.infection & ~made.lung.astype(bool)).any()
        assert made.hu.shape == made.lung.shape == made.infection.shape == made.geometry.shape


def test_negative_means_no_infection():
    made = make("negative", "none", 30)
    assert not made.infection.any()
    assert made.lung.any()


def test_every_other_finding_is_infected():
    for made in everyone()[:-1]:
        assert made.infection.any(), (made.finding, made.pattern)


def test_typical_is_bilateral_peripheral_ground_glass_behind_and_below():
    for made in typical():
        assert is_bilateral(made)
        assert is_peripheral(made)
        assert (wall_depth_mm(made) < 34.0).mean() > 0.95
    behind = [middle_of(made.infection)[1] > middle_of(made.lung)[1] for made in typical()]
    below = [middle_of(made.infection)[0] < middle_of(made.lung)[0] for made in typical()]
    assert sum(behind) >= 4
    assert sum(below) >= 4


def test_indeterminate_is_never_both_bilateral_and_peripheral():
    for made in indeterminate():
        assert not (is_bilateral(made) and is_peripheral(made)), made.pattern


def test_one_sided_is_in_one_lung_and_diffuse_in_both():
    one_sided, diffuse = make("indeterminate", "one-sided", 12), make("indeterminate", "diffuse", 11)
    assert min(sides(one_sided)) == 0
    assert min(sides(diffuse)) > 0.25 * max(sides(diffuse))
    assert diffuse.infection.sum() > 0.05 * diffuse.lung.sum()


@pytest.mark.parametrize("made", [*range(5), *range(10, 14)])
def test_lesions_are_ground_glass_which_is_denser_than_lung_and_not_solid(made):
    made = typical()[made] if made < 5 else indeterminate()[made - 10]
    ill = made.hu[made.infection > 0]
    clean = np.median(made.hu[(made.lung > 0) & (made.infection == 0)])
    assert np.median(ill) > clean + 25
    # Typical may have consolidation too.
    assert ((ill > clean) & (ill < -300)).mean() > 0.4


def test_lesions_differ_in_size_and_density():
    shares = [made.infection.sum() / made.lung.sum() for made in typical()]
    assert max(shares) > 3 * min(shares)
    densities = [np.median(made.hu[made.infection > 0]) for made in typical()]
    assert max(densities) - min(densities) > 50


def test_lobar_consolidation_is_dense_in_one_lung():
    made = make("atypical", "lobar", 20)
    dense = (made.infection > 0) & (made.hu > -150)
    pieces, count = ndimage.label(dense)
    largest = pieces == 1 + int(np.argmax(ndimage.sum_labels(dense, pieces, range(1, count + 1))))
    millilitres = largest.sum() * np.prod(made.geometry.spacing_mm) / 1000
    assert millilitres > 15
    middle = int(np.argwhere(made.lung.any(axis=(0, 1))).mean())
    left, right = largest[:, :, middle:].any(), largest[:, :, :middle].any()
    assert left != right
    assert -100 < np.median(made.hu[largest]) < 60


def test_a_cavity_holds_air_within_a_dense_wall():
    made = make("atypical", "cavitation", 22)
    wall = (made.infection > 0) & (made.hu > -500)
    hollow = np.stack([ndimage.binary_fill_holes(slice_) for slice_ in wall]) & ~wall & (made.infection > 0)
    assert made.hu[hollow].min() < -800


def test_tree_in_bud_is_many_small_dense_spots():
    made = make("atypical", "tree-in-bud", 21)
    spots, count = ndimage.label((made.infection > 0) & (made.hu > -550))
    volume = ndimage.sum_labels(spots > 0, spots, range(1, count + 1)) * np.prod(made.geometry.spacing_mm)
    assert count >= 8
    assert np.median(volume) < 4 / 3 * np.pi * 6.0**3, "smaller than a ball of 6 mm"


def test_effusion_takes_room_from_the_lung_behind_and_belongs_to_neither_mask():
    made = make("atypical", "septal", 23)
    # The same person in health: where there was lung and is none now, there is fluid.
    healthy = make("negative", "none", 23)
    fluid = (healthy.lung > 0) & (made.lung == 0)
    assert fluid.sum() * np.prod(made.geometry.spacing_mm) / 1000 > 100, "millilitres"
    assert -15 < np.median(made.hu[fluid]) < 30
    assert np.median(healthy.hu[fluid]) < -600
    assert not made.infection[fluid].any()
    assert middle_of(fluid)[1] > middle_of(healthy.lung)[1] + 5


@pytest.mark.parametrize(("finding", "pattern", "index"), [("typical", "peripheral", 2), ("atypical", "lobar", 20)])
def test_lesions_change_the_infected_lung_and_nothing_else(finding, pattern, index):
    made, healthy = make(finding, pattern, index), make("negative", "none", index)
    assert np.array_equal(made.lung, healthy.lung)
    change = made.hu.astype(float) - healthy.hu
    ill = made.infection > 0
    away = ~ndimage.binary_dilation(ill, iterations=3)
    assert change[ill].mean() > 60
    assert abs(change[away]).mean() < 1
