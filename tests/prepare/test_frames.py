"""Frames are evenly spaced slices, or what lies between two of them."""

import numpy as np
import pytest

from prepare.synthetic import chest
from triplenet.prepare.frames import frame_positions, read_frames
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
