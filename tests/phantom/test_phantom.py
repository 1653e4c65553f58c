"""Phantom patients: what is drawn is anatomy in Hounsfield units, and the same for the same seed."""

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from triplenet import phantom
from triplenet.catalog import FINDINGS
from triplenet.errors import UnknownName
from triplenet.phantom import person, scanner
from triplenet.phantom.detector import Detector

SIZE = {"matrix": 96, "thickness_mm": 6.0}


@cache
def healthy(index):
    return phantom.patient(3, index, finding="negative", **SIZE)


def inside_body(made):
    """Everything within the skin, slice by slice: the largest piece that is not air, with what it encloses."""
    body = np.zeros(made.hu.shape, bool)
    for z, hu in enumerate(made.hu):
        pieces, count = ndimage.label(hu > -400)
        if count:
            sizes = ndimage.sum_labels(hu > -400, pieces, range(1, count + 1))
            body[z] = ndimage.binary_fill_holes(pieces == 1 + int(np.argmax(sizes)))
    return body


def centre(mask):
    """The mean (z, y, x) of a mask."""
    return np.argwhere(mask).mean(axis=0)


def test_the_same_arguments_give_the_same_bits():
    once, again = healthy(2), phantom.patient(3, 2, finding="negative", **SIZE)
    assert np.array_equal(once.hu, again.hu)
    assert np.array_equal(once.infection, again.infection)
    assert np.array_equal(once.lung, again.lung)
    assert np.array_equal(once.geometry.affine, again.geometry.affine)
    assert once.parameters == again.parameters


@pytest.mark.parametrize("other", [(4, 2), (3, 1)], ids=["another seed", "another number"])
def test_another_seed_or_number_is_another_person(other):
    first, second = healthy(2), phantom.patient(*other, finding="negative", **SIZE)
    assert first.person != second.person
    assert first.hu.shape != second.hu.shape or not np.array_equal(first.hu, second.hu)


def test_a_patients_finding_does_not_depend_on_how_many_patients_there_are():
    assert phantom.findings(7, 40)[:11] == phantom.findings(7, 11)
    assert [phantom.finding_of(7, k) for k in range(11)] == phantom.findings(7, 11)


@pytest.mark.parametrize("seed", range(6))
def test_the_first_four_patients_have_all_four_findings(seed):
    assert sorted(phantom.findings(seed, 4)) == sorted(FINDINGS)


PAPER = {"typical": 470, "indeterminate": 289, "atypical": 137, "negative": 383}


@pytest.mark.parametrize("seed", range(20))
def test_as_many_patients_as_the_papers_have_its_numbers_of_each_finding(seed):
    assert Counter(phantom.findings(seed, 1279)) == PAPER
    assert phantom.LIKE["paper"] == PAPER


@pytest.mark.parametrize("part", [100, 426, 853])
def test_after_any_number_the_findings_keep_the_papers_proportions(part):
    counted = Counter(phantom.findings(0, part))
    for finding, patients in PAPER.items():
        assert abs(counted[finding] - patients / 1279 * part) <= 2.5


def test_an_unknown_finding_or_pattern_is_refused_with_what_there_is():
    with pytest.raises(UnknownName, match="did you mean 'typical'"):
        phantom.patient(0, 0, finding="typcal", **SIZE)
    with pytest.raises(UnknownName, match="perihilar, diffuse, one-sided, sparse"):
        phantom.patient(0, 0, finding="indeterminate", pattern="lobar", **SIZE)


def test_scanners_work_as_real_ones_do():
    drawn = [scanner.draw(np.random.default_rng(k), 512, None, 350.0) for k in range(200)]
    assert {p.model.site for p in drawn} == {model.site for model in scanner.MODELS}
    assert all(1.0 <= p.thickness_mm <= 5.0 for p in drawn)
    assert all(0.63 <= p.pixel_mm <= 0.78 for p in drawn)
    assert {p.padding_hu for p in drawn} == {None, -3024, -2048}
    assert len({p.kernel.name for p in drawn}) == 8


def test_a_smaller_matrix_shows_the_same_field():
    large, small = (scanner.draw(np.random.default_rng(4), matrix, 5.0, 350.0) for matrix in (512, 128))
    assert small.pixel_mm * 128 == pytest.approx(large.pixel_mm * 512, abs=1e-3)


def test_outside_the_reconstruction_circle_lies_the_padding_value_and_only_there():
    made = next(p for p in map(healthy, range(12)) if p.protocol.model.site == "east")
    y, x = np.indices(made.hu.shape[1:]) - 0.5 * (SIZE["matrix"] - 1)
    radius = np.hypot(y, x)
    assert (made.hu[:, radius > 0.5 * SIZE["matrix"] + 1] == -3024).all()
    assert (made.hu[:, radius < 0.5 * SIZE["matrix"] - 1] >= -1024).all()


def test_aerated_lung_air_fat_and_soft_tissue_have_their_densities():
    made = healthy(2)
    body = inside_body(made)
    assert -900 < np.median(made.hu[made.lung > 0]) < -730
    outside = ~ndimage.binary_dilation(body, iterations=4) & (made.hu > -1024)
    assert abs(np.median(made.hu[outside]) + 1000) < 30
    solid = made.hu[body & (made.lung == 0)]
    counts, edges = np.histogram(solid, bins=np.arange(-200, 205, 10))
    middles = edges[:-1] + 5
    fat, soft = (
        middles[np.argmax(np.where(middles < -30, counts, 0))],
        middles[np.argmax(np.where(middles > 0, counts, 0))],
    )
    assert -125 <= fat <= -85
    assert 30 <= soft <= 65


def test_bone_is_there_and_little_of_the_body():
    made = healthy(2)
    bone = made.hu[inside_body(made)] > 250
    assert 0.01 < bone.mean() < 0.12
    assert 400 < made.hu.max() < 2500


def test_the_organs_lie_on_their_sides():
    # x runs to the patient's left, y to the back, z to the head.
    made = healthy(2)
    lung, body = made.lung > 0, inside_body(made)
    depth, height, width = made.hu.shape
    _, y, x = centre(lung)
    bone = body & (made.hu > 250)
    assert centre(bone & (np.abs(np.arange(width) - x) < 12))[1] > y, "the spine is behind"
    below = int(np.flatnonzero(lung.any(axis=(1, 2)))[0])
    right = made.hu[below : below + 6, :, : int(x)][body[below : below + 6, :, : int(x)]]
    left = made.hu[below : below + 6, :, int(x) :][body[below : below + 6, :, int(x) :]]
    assert ((right > 40) & (right < 80)).mean() > ((left > 40) & (left < 80)).mean(), "the liver is on the right"
    between = ndimage.binary_fill_holes(ndimage.binary_closing(lung, iterations=12)) & ~lung
    low = slice(int(depth * 0.3), int(depth * 0.45))
    assert centre(between[low] & (made.hu[low] > 0) & (np.arange(height)[:, None] < y))[2] > x, "the heart points left"


def test_the_lungs_widen_from_apex_to_middle_and_are_two():
    made = healthy(2)
    area = (made.lung > 0).sum(axis=(1, 2))
    slices = np.flatnonzero(area)
    low, high = slices[0], slices[-1]
    middle = area[low + (high - low) // 2]
    assert area[high] < 0.35 * middle
    assert area[low] < 0.35 * middle
    pieces, count = ndimage.label(made.lung)
    shares = np.sort(ndimage.sum_labels(made.lung, pieces, range(1, count + 1)))[::-1] / made.lung.sum()
    assert shares[:2].min() > 0.35
    assert shares[:2].sum() > 0.99
    volume = made.lung.sum() * np.prod(made.geometry.spacing_mm) / 1e6
    assert 1.8 < volume < 7.5, "litres"


def test_dependent_lung_is_denser():
    made = healthy(2)
    lung = ndimage.binary_erosion(made.lung > 0, iterations=2) & (made.hu < -600)
    rows = np.broadcast_to(np.arange(made.hu.shape[1])[:, None], made.hu.shape[1:])
    front, back = np.percentile(np.argwhere(lung)[:, 1], [25, 75])
    assert made.hu[lung & (rows > back)].mean() > made.hu[lung & (rows < front)].mean() + 5


def test_people_differ():
    people = [person.draw(np.random.default_rng(k)) for k in range(300)]
    assert {p.sex for p in people} == {"F", "M"}
    assert all(p.breast_mm == 0 for p in people if p.sex == "M")
    for habit in ("emphysema", "atelectasis_mm", "granulomas", "motion_mm", "bullae", "scars"):
        share = np.mean([getattr(p, habit) > 0 for p in people])
        assert 0.03 < share < 0.6, habit
    assert 0.03 < np.mean([p.arms_down for p in people]) < 0.2


def protocol(kernel, matrix=128):
    drawn = scanner.draw(np.random.default_rng(0), matrix, 1.0, 350.0)
    return replace(drawn, kernel=kernel, pixel_mm=0.7)


@pytest.mark.parametrize("model", scanner.MODELS, ids=lambda model: model.name)
def test_a_sharp_kernel_resolves_more_and_has_finer_noise(model):
    soft, sharp = model.kernels
    step = np.zeros((1, 128, 128), np.float32)
    step[:, :, 64:] = 100.0
    quiet, flat = np.zeros_like(step), np.zeros((4, 128, 128), np.float32)
    rise, neighbour = [], []
    for kernel in (soft, sharp):
        profile = Detector(protocol(kernel), np.random.default_rng(1)).scan(step, quiet, np.zeros(1))[0, 64, 56:73]
        rise.append(
            np.interp(90, profile[: np.argmax(profile) + 1], np.arange(np.argmax(profile) + 1))
            - np.interp(10, profile[: np.argmax(profile) + 1], np.arange(np.argmax(profile) + 1))
        )
        noise = Detector(protocol(kernel), np.random.default_rng(1)).scan(flat, flat + 30.0, np.zeros(4))
        assert noise.std() == pytest.approx(30.0, rel=0.05)
        neighbour.append((noise[:, :, 1:] * noise[:, :, :-1]).mean() / noise.var())
    assert rise[1] < 0.85 * rise[0]
    assert neighbour[1] < neighbour[0] - 0.1
    assert sharp.noise > soft.noise


def test_noise_is_where_few_quanta_come_through():
    flat, amplitude = np.zeros((4, 128, 128), np.float32), np.zeros((4, 128, 128), np.float32)
    amplitude[:, :, 64:] = 30.0
    kernel = scanner.MODELS[0].kernels[0]
    noise = Detector(protocol(kernel), np.random.default_rng(1)).scan(flat, amplitude, np.zeros(4))
    assert noise[:, :, 8:56].std() < 0.1 * noise[:, :, 72:120].std()


def test_streaks_run_from_side_to_side():
    flat = np.zeros((2, 128, 128), np.float32)
    noise = Detector(protocol(scanner.MODELS[0].kernels[0]), np.random.default_rng(1)).scan(
        flat, flat + 30, np.full(2, 0.7)
    )
    across = (noise[:, :, 8:] * noise[:, :, :-8]).mean()
    down = (noise[:, 8:] * noise[:, :-8]).mean()
    assert across > 5 * abs(down)
