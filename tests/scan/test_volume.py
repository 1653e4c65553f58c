"""Geometry: spacing, tilt, world coordinates, and which grids are the same."""

from __future__ import annotations

import numpy as np
import pytest

from triplenet.scan import Geometry


def axial(shape: tuple[int, int, int] = (4, 5, 6), tilt_degrees: float = 0.0) -> Geometry:
    """Slices 2 mm apart, stacked along the body axis, whose planes are tilted about the left-right axis."""
    angle = np.radians(tilt_degrees)
    affine = np.eye(4)
    affine[:3, 0] = (0, 0, 2 / np.cos(angle))  # planes stay 2 mm apart
    affine[:3, 1] = (0, 0.8 * np.cos(angle), 0.8 * np.sin(angle))
    affine[:3, 2] = (0.7, 0, 0)
    affine[:3, 3] = (-10, -20, 30)
    return Geometry(shape, affine)


def test_spacing_is_measured_across_the_slices() -> None:
    assert axial().spacing_mm == pytest.approx((2.0, 0.8, 0.7))
    assert axial(tilt_degrees=20).spacing_mm == pytest.approx((2.0, 0.8, 0.7))


def test_world_of_a_voxel_by_hand() -> None:
    assert axial().world((1, 2, 3)) == pytest.approx((-10 + 3 * 0.7, -20 + 2 * 0.8, 30 + 2))
    assert axial().world([[0, 0, 0], [0.5, 0, 0]]) == pytest.approx(np.array([[-10, -20, 30], [-10, -20, 31]]))


@pytest.mark.parametrize("tilt", [0.0, 3.0, -17.5, 30.0])
def test_a_gantry_tilt_is_seen_and_measured(tilt: float) -> None:
    geometry = axial(tilt_degrees=tilt)
    assert geometry.tilt_degrees == pytest.approx(abs(tilt), abs=1e-5)
    assert geometry.is_rectangular == (tilt == 0)


def test_uneven_slices_lie_where_they_say() -> None:
    even = axial()
    positions = np.array([[-10, -20, z] for z in (30.0, 32.0, 36.0, 38.0)])
    uneven = Geometry(even.shape, even.affine, positions)
    assert uneven.world((2, 1, 1)) == pytest.approx((-9.3, -19.2, 36))
    assert uneven.world((1.5, 0, 0)) == pytest.approx((-10, -20, 34))
    assert not uneven.same_grid(even)
    assert uneven.same_grid(Geometry(even.shape, even.affine, positions + 0.001))
    assert even.is_even and not uneven.is_even


def test_the_same_grid_means_the_same_corners() -> None:
    shifted = axial()
    affine = shifted.affine.copy()
    affine[0, 3] += 0.02
    assert axial().same_grid(Geometry(shifted.shape, affine), tolerance_mm=0.03)
    assert not axial().same_grid(Geometry(shifted.shape, affine))
    assert not axial().same_grid(axial((4, 5, 7)))
