"""Opacities by thresholds: what counts, what does not, and where a scan has most of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triplenet import phantom
from triplenet.prepare.found_lungs import LabelledLungs
from triplenet.prepare.lung import find_lungs
from triplenet.prepare.opacity import LEAST_MM2, find_opacities, opaque_above
from triplenet.scan import Geometry, Source
from triplenet.scan.series import MemorySeries

SLICES = 14
#: (z, y, x) in mm from the middle of the scan: inside the patient's right lung, which lies to the left of the picture.
RIGHT = (0.0, 10.0, -75.0)
LEFT = (15.0, 0.0, 80.0)


class Held(MemorySeries):
    """A series in memory."""

    def __init__(self, hu, spacing_mm):
        affine = np.zeros((4, 4))
        affine[2, 0], affine[1, 1], affine[0, 2] = spacing_mm
        affine[3, 3] = 1
        super().__init__(Geometry(hu.shape, affine), Source("nifti", "scan.nii"))
        self._hu = hu

    def _load(self):
        return self._hu, 0


class Chest:
    """Two elliptic lungs of -860 HU in a body of 40 HU, slices of 5 mm by default."""

    def __init__(self, spacing_mm=(5.0, 2.0, 2.0), noise_hu=20.0, slices=SLICES, aerated_hu=-860.0):
        self.spacing_mm = spacing_mm
        depth = round(slices * 5.0 / spacing_mm[0])
        shape = (depth, round(300 / spacing_mm[1]), round(390 / spacing_mm[2]))
        self.z, self.y, self.x = (
            np.arange(n).reshape([-1 if k == axis else 1 for k in range(3)]) * side - (n - 1) / 2 * side
            for axis, (n, side) in enumerate(zip(shape, spacing_mm, strict=True))
        )
        self.noise = np.random.default_rng(0).normal(0, noise_hu, shape)
        self.hu = np.full(shape, -1000.0)
        self.hu[np.broadcast_to((self.x / 175) ** 2 + (self.y / 120) ** 2 < 1, shape)] = 40
        self.lung = np.zeros(shape, bool)
        for middle in (-75, 75):
            self.lung |= ((self.x - middle) / 55) ** 2 + (self.y / 90) ** 2 < 1
        self.hu[self.lung] = aerated_hu

    def near(self, middle, radius_mm, half_length_mm=8.0):
        """An upright cylinder."""
        z, y, x = middle
        across = np.hypot(self.y - y, self.x - x) < radius_mm
        return across & (np.abs(self.z - z) < half_length_mm)

    def draw(self, where, hu):
        self.hu[where] = hu
        return self

    def series(self):
        return Held((self.hu + self.noise).clip(-1024, 3000).astype(np.int16), self.spacing_mm)

    def opacities(self):
        series = self.series()
        return find_opacities(series, find_lungs(series.read().hu, self.spacing_mm))

    def area_mm2(self, mask):
        return mask.sum(axis=(1, 2)) * self.spacing_mm[1] * self.spacing_mm[2]


@pytest.mark.parametrize(
    ("hu", "spacing_mm"),
    [
        (-600, (5.0, 1.5, 1.5)),
        (-450, (5.0, 2.0, 2.0)),
        (-100, (5.0, 2.0, 2.0)),
        (40, (5.0, 2.0, 2.0)),
        (-500, (0.9, 1.4, 1.4)),
        (40, (10.0, 0.6, 0.6)),
        (-500, (2.5, 0.9, 2.4)),
    ],
)
def test_a_disc_of_ground_glass_or_consolidation_is_found_where_it_lies(hu, spacing_mm):
    chest = Chest(spacing_mm)
    disc = chest.near(RIGHT, 18.0, 12.0)
    found = chest.draw(disc, hu).opacities()
    true = chest.area_mm2(disc)
    assert true[found.largest()] == true.max()
    assert found.areas_mm2.max() == pytest.approx(true.max(), rel=0.25)
    far = np.abs(chest.z.ravel()) > 12.0 + spacing_mm[0] + 2.0
    assert found.areas_mm2[far].max() < LEAST_MM2 / 10
    seen = found.slice(found.largest())
    truth = disc[found.largest()]
    assert 2 * (seen & truth).sum() / (seen.sum() + truth.sum()) > 0.85


def test_right_and_left_are_the_patients():
    chest = Chest().draw(Chest().near(RIGHT, 20.0), -500).draw(Chest().near(LEFT, 12.0), -500)
    right, left = chest.opacities().side_areas_mm2.max(axis=1)
    assert right == pytest.approx(np.pi * 20**2, rel=0.25)
    assert left == pytest.approx(np.pi * 12**2, rel=0.35)


def test_of_two_opacities_the_larger_area_is_chosen():
    chest = Chest()
    small, large = chest.near((-20.0, 0.0, -75.0), 13.0), chest.near((15.0, 0.0, 80.0), 19.0)
    found = chest.draw(small, 20).draw(large, -550).opacities()
    assert large[found.largest()].any()


def test_vessels_alone_are_no_opacity():
    chest = Chest()
    rng = np.random.default_rng(1)
    for _ in range(60):
        middle = (0.0, rng.uniform(-60, 60), rng.choice([-75, 75]) + rng.uniform(-30, 30))
        chest.draw(chest.near(middle, rng.uniform(1.0, 4.0), 100.0), 40)
    for row in (-50.0, 10.0, 45.0):  # those that run in the slice
        chest.draw((np.abs(chest.y - row) < 3.0) & (np.abs(chest.z) < 6.0) & chest.lung, 40)
    found = chest.opacities()
    assert found.largest() is None
    assert found.areas_mm2.max() < LEAST_MM2 / 2


def test_a_thick_vessel_has_no_halo_of_ground_glass():
    chest = Chest(noise_hu=5.0)
    far = np.hypot(chest.y, chest.x - 75)
    chest.draw(np.broadcast_to(far < 8.5, chest.hu.shape), -500).draw(np.broadcast_to(far < 5.5, chest.hu.shape), 40)
    assert chest.opacities().areas_mm2.max() == 0


@pytest.mark.parametrize("noise_hu", [0.0, 60.0, 150.0])
def test_noise_is_no_opacity(noise_hu):
    assert Chest((2.0, 0.8, 0.8), noise_hu).opacities().largest() is None


def test_noise_does_not_hide_an_opacity():
    chest = Chest((2.0, 0.75, 0.75), 100.0)
    disc = chest.near(RIGHT, 18.0)
    found = chest.draw(disc, -550).opacities()
    assert disc[found.largest()].any()


def test_the_outline_blurred_by_thick_pixels_is_no_opacity():
    chest = Chest((5.0, 0.75, 0.75), 10.0)
    inner = np.zeros_like(chest.lung)
    for middle in (-75, 75):
        inner |= ((chest.x - middle) / 48) ** 2 + (chest.y / 83) ** 2 < 1
    assert chest.draw(chest.lung & ~inner, -500).opacities().areas_mm2.max() < LEAST_MM2 / 10


def test_a_consolidation_at_the_pleura_that_the_lungs_lack_is_brought_back_by_their_hull():
    chest = Chest()
    wedge = chest.near((0.0, 0.0, -130.0), 36.0, 9.0) & chest.lung
    series = chest.draw(wedge, 30).series()
    lungs = find_lungs(series.read().hu, chest.spacing_mm)
    middle = len(chest.hu) // 2
    assert (lungs.slice(middle) & wedge[middle]).sum() < 0.3 * wedge[middle].sum()  # what it is about
    found = find_opacities(series, lungs)
    assert wedge[found.largest()].any()
    assert found.areas_mm2.max() > 0.4 * chest.area_mm2(wedge).max()


@pytest.mark.parametrize("outer", [False, True])
def test_what_lies_in_the_hull_is_heart_on_the_inner_side_and_a_dome_without_lung_beneath(outer):
    chest = Chest(slices=20)
    if outer:  # the diaphragm rises into the lung from beneath, lung on all sides
        heart = (chest.z + 70) ** 2 + chest.y**2 + (chest.x + 75) ** 2 < 75**2
    else:
        heart = (np.hypot(chest.y, chest.x - 30) < 30.0) & (chest.z > -10)
    assert chest.draw(heart & chest.lung, 40).opacities().largest() is None


def test_lungs_that_come_as_labels_give_the_same():
    chest = Chest((2.5, 0.9, 0.9))
    disc = chest.near(LEFT, 20.0)
    series = chest.draw(disc, -500).series()
    labels = np.where(chest.lung, np.where(chest.x < 0, 1, 2), 0).astype(np.uint8)
    found = find_opacities(series, LabelledLungs(labels, chest.spacing_mm, "lungmask"))
    thresholds = find_opacities(series, find_lungs(series.read().hu, chest.spacing_mm))
    np.testing.assert_allclose(found.side_areas_mm2, thresholds.side_areas_mm2, atol=60)
    assert disc[found.largest()].any()


def test_a_scan_without_lungs_has_no_opacity():
    hu = np.full((4, 60, 60), 40, np.int16)
    hu[:, :, :6] = -1000
    series = Held(hu, (5.0, 3.0, 3.0))
    found = find_opacities(series, find_lungs(series.read().hu, series.spacing_mm))
    assert found.largest() is None
    assert found.areas_mm2.tolist() == [0, 0, 0, 0]


def test_one_slice_is_enough():
    chest = Chest(slices=1)
    assert chest.draw(chest.near(RIGHT, 20.0), -500).opacities().largest() == 0


@pytest.mark.parametrize("aerated_hu", [-920.0, -860.0, -770.0])
def test_opaque_is_relative_to_the_scans_own_aerated_lung(aerated_hu):
    chest = Chest(aerated_hu=aerated_hu)
    assert Chest(aerated_hu=aerated_hu).opacities().largest() is None
    disc = chest.near(RIGHT, 20.0)
    assert disc[chest.draw(disc, aerated_hu + 190).opacities().largest()].any()


@given(st.lists(st.floats(-1024, 300, width=32), min_size=1, max_size=50))
def test_the_limit_stays_between_overinflated_and_white_lung(values):
    assert -780 <= opaque_above(np.array(values, np.float32)) <= -650


@settings(max_examples=6, deadline=None)
@given(st.floats(-25, 25), st.floats(-40, 40), st.floats(-20, 20), st.sampled_from([-75.0, 75.0]), st.floats(15, 22))
def test_wherever_in_the_lungs_an_opacity_lies_the_slice_is_one_of_its(z, y, x, side, radius):
    chest = Chest()
    disc = chest.near((z, y, side + x), radius)
    largest = chest.draw(disc, -520).opacities().largest()
    assert largest is not None and disc[largest].any()


def test_of_a_phantom_with_a_lobar_consolidation_the_slice_is_within_it():
    made = phantom.patient(5, 17, finding="atypical", pattern="lobar", matrix=192, thickness_mm=5.0)
    found = find_opacities(Held(made.hu, made.geometry.spacing_mm), find_lungs(made.hu, made.geometry.spacing_mm))
    true = made.infection.sum(axis=(1, 2))
    assert true[found.largest()] > 0.5 * true.max()
