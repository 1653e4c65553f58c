"""The grid of about two millimetres on which the lung is looked for, against explicit loops."""

import numpy as np
import pytest

from triplenet.prepare.working_grid import WorkingGrid

HU = np.random.default_rng(0).integers(-1000, 200, (5, 7, 10)).astype(np.int16)
GRID = WorkingGrid.of(HU.shape, (1.0, 0.9, 0.7))


def test_voxels_of_the_grid_are_about_two_millimetres():
    assert GRID.steps == (2, 2, 3)
    assert GRID.spacing_mm == pytest.approx((2.0, 1.8, 2.1))
    assert WorkingGrid.of((4, 4, 4), (5.0, 3.5, 2.0)).steps == (1, 1, 1)


def test_a_voxel_of_the_grid_is_the_mean_of_those_that_are_there():
    """The last ones along an axis have fewer."""
    averaged = GRID.average(HU)
    assert averaged.shape == (3, 4, 4)
    for z, y, x in np.ndindex(averaged.shape):
        block = HU[2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 3 * x : 3 * x + 3]
        assert averaged[z, y, x] == pytest.approx(block.mean(), abs=1e-3)


def test_the_way_back_is_linear_between_the_middles_of_the_grids_voxels():
    field = np.random.default_rng(1).normal(size=(3, 4, 4)).astype(np.float32)

    def at(length, step, cells):
        return np.clip((np.arange(length) + 0.5) / step - 0.5, 0, cells - 1)

    z, y, x = at(5, 2, 3), at(7, 2, 4), at(10, 3, 4)
    for index in range(5):
        plane = np.array([[np.interp(z[index], np.arange(3), field[:, j, i]) for i in range(4)] for j in range(4)])
        rows = np.array([np.interp(y, np.arange(4), plane[:, i]) for i in range(4)]).T  # (7, 4)
        expected = np.array([np.interp(x, np.arange(4), row) for row in rows])
        np.testing.assert_allclose(GRID.slice(field, index), expected, atol=1e-5)
    values = np.array([0.0, 4.0, 10.0])
    np.testing.assert_allclose(GRID.along(values), np.interp(z, np.arange(3), values))
