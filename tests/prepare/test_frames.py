"""Frames are evenly spaced slices, or what lies between two of them."""

import numpy as np
import pytest

from prepare.synthetic import chest
from triplenet.prepare.found_lungs import LabelledLungs
from triplenet.prepare.frames import between_frames, frame_lungs, frame_positions, read_frames
from triplenet.prepare.masks import Masks, Region
from triplenet.prepare.sample import network_slice
from triplenet.scan import Source
from triplenet.scan.series import MemorySeries

WINDOW = (-1000.0, -500.0)


class Held(MemorySeries):
    def __init__(self, hu, geometry):
        super().__init__(geometry, Source("nifti", "held"))
        self.hu = hu

    def _load(self):
        return self.hu, 0


@pytest.mark.parametrize("slices", [1, 2, 56, 64, 65, 722])
def test_nearest_frames_are_whole_slices_evenly_spaced_from_first_to_last(slices):
    frames = frame_positions(slices, 64)
    assert len(frames) == 64
    assert frames[0] == 0 and frames[-1] == slices - 1
    steps = np.diff(frames)
    assert steps.min() >= 0 and steps.max() - steps.min() <= 1
    assert np.array_equal(frames, frames.astype(int))


def test_linear_frames_mix_the_slices_next_to_them_in_hounsfield_units():
    hu, _, _, geometry = chest(slices=5)
    for z, value in enumerate(range(-900, -400, 100)):
        hu[z, 40:56, 20:30] = value
    positions = frame_positions(5, 9, "linear")
    assert positions.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    frames = read_frames(Held(hu, geometry), positions.tolist(), WINDOW, 96)
    grey = frames[:, 40:56, 20:30].reshape(9, -1) / 255 * 500 - 1000
    assert np.abs(grey - np.arange(-900, -499, 50)[:, None]).max() <= 1  # half a grey level, and the rounding
    whole = network_slice(hu[2], WINDOW, 96)[0]
    assert np.array_equal(frames[4], whole)


def test_nearest_frames_repeat_slices_where_there_are_too_few():
    hu, _, _, geometry = chest(slices=3)
    frames = read_frames(Held(hu, geometry), frame_positions(3, 5).tolist(), WINDOW, 96)
    expected = [network_slice(hu[z], WINDOW, 96)[0] for z in (0, 1, 1, 2, 2)]
    assert np.array_equal(frames, np.stack(expected))


def test_a_frame_has_more_of_the_slice_that_it_is_nearer_to():
    hu, _, _, geometry = chest(slices=3)
    hu[0, 40:56, 20:30], hu[1, 40:56, 20:30] = -900, -600
    frames = read_frames(Held(hu, geometry), [0.25, 0.9], WINDOW, 96)
    grey = frames[:, 40:56, 20:30].reshape(2, -1) / 255 * 500 - 1000
    assert np.abs(grey - np.array([[-825], [-630]])).max() <= 1


def test_infection_in_a_lung_that_was_found_is_lung_of_the_frames():
    hu, lung, infection, geometry = chest(slices=3, lesion=(1, 40, 28, 5))
    seen = (lung * (infection == 0)).astype(np.uint8)  # what thresholds find of it
    found = LabelledLungs(seen, geometry.spacing_mm, "thresholds")
    series = Held(hu, geometry)
    lungs = frame_lungs(series, Masks(infection=Region((infection, ()))), [0.0, 1.0, 1.4], 96, found)
    np.testing.assert_array_equal(lungs, lung[[0, 1, 1]])
    np.testing.assert_array_equal(frame_lungs(series, Masks(), [1.0], 96, found)[0], seen[1])
    given = Masks(lung=Region((lung, ())))
    np.testing.assert_array_equal(frame_lungs(series, given, [1.0], 96, found)[0], lung[1])


def test_a_slice_between_two_frames_has_what_lies_between():
    heats = np.array([[[0.0]], [[1.0]], [[0.5]]], dtype=np.float32)
    numbers = np.array([0, 4, 8])
    found = [float(between_frames(heats, numbers, index)[0, 0]) for index in (0, 1, 4, 6, 8)]
    assert found == pytest.approx([0.0, 0.25, 1.0, 0.75, 0.5])


def test_frames_that_repeat_a_slice_are_no_division_by_zero():
    heats = np.array([[[0.2]], [[0.2]], [[0.8]]], dtype=np.float32)
    found = [float(between_frames(heats, np.array([0, 0, 1]), index)[0, 0]) for index in (0, 1)]
    assert found == pytest.approx([0.2, 0.8])
