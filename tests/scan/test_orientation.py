"""The canonical orientation moves no voxel in the patient, and is undone exactly."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given

from scan.grids import HEAD_BACK_LEFT, geometries, to_canonical
from triplenet.errors import SeriesGap
from triplenet.scan import Geometry, Scan, Source, reorientation


def scan_of(geometry: Geometry) -> Scan:
    hu = np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape)
    return Scan(hu, geometry, Source("dicom", "test"))


def places(scan: Scan) -> dict[int, np.typing.NDArray[np.float64]]:
    """The place of every voxel in the patient, by its unique value."""
    index = np.indices(scan.hu.shape).reshape(3, -1).T
    return dict(zip(scan.hu.ravel().tolist(), scan.geometry.world(index), strict=True))


@given(geometries)
def test_every_voxel_stays_where_it_is(geometry: Geometry) -> None:
    before = scan_of(geometry)
    after, _ = to_canonical(before)
    there, here = places(before), places(after)
    assert there.keys() == here.keys()
    assert max(np.abs(there[value] - here[value]).max() for value in there) < 1e-6


@given(geometries)
def test_undoing_gives_back_the_array_exactly(geometry: Geometry) -> None:
    before = scan_of(geometry)
    after, how = to_canonical(before)
    assert np.array_equal(how.undo(after.hu), before.hu)
    assert np.array_equal(how.apply(how.undo(after.hu)), after.hu)
    assert how.undo(after.hu).shape == geometry.shape


@given(geometries)
def test_what_is_canonical_stays_as_it_is(geometry: Geometry) -> None:
    after, _ = to_canonical(scan_of(geometry))
    assert reorientation(after.geometry).is_identity


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_axes_along_the_body_become_head_back_left(order: tuple[int, int, int], signs: tuple[int, int, int]) -> None:
    affine = np.eye(4)
    affine[:3, :3] = (HEAD_BACK_LEFT * signs)[:, order]
    scan, _ = to_canonical(scan_of(Geometry((2, 3, 4), affine)))
    assert np.array_equal(scan.geometry.affine[:3, :3], HEAD_BACK_LEFT)


def test_a_channel_axis_behind_is_carried_along() -> None:
    affine = np.eye(4)
    affine[:3, :3] = HEAD_BACK_LEFT[:, [1, 2, 0]]
    how = reorientation(Geometry((2, 3, 4), affine))
    array = np.random.default_rng(0).normal(size=(2, 3, 4, 2))
    assert np.array_equal(how.undo(how.apply(array)), array)


def test_one_slice_is_put_back_into_its_own_rows_and_columns() -> None:
    affine = np.eye(4)
    affine[:3, :3] = HEAD_BACK_LEFT * (-1, -1, 1)  # feet first and upside down
    scan = scan_of(Geometry((3, 4, 5), affine))
    after, how = to_canonical(scan)
    assert how.undo_index(0, 3) == 2
    assert np.array_equal(how.undo(after.hu[:1])[0], scan.hu[2])


def test_uneven_positions_follow_the_slices() -> None:
    affine = np.eye(4)
    affine[:3, :3] = HEAD_BACK_LEFT * (-1, 1, -1)
    positions = np.array([[10, 0, z] for z in (0.0, -1.0, -3.0)])
    before = scan_of(Geometry((3, 4, 5), affine, positions))
    after, _ = to_canonical(before)
    there, here = places(before), places(after)
    assert all(np.allclose(there[value], here[value]) for value in there)


def test_uneven_slices_cannot_become_rows() -> None:
    affine = np.eye(4)
    affine[:3, :3] = HEAD_BACK_LEFT[:, [1, 0, 2]]
    with pytest.raises(SeriesGap):
        to_canonical(scan_of(Geometry((3, 4, 5), affine, np.zeros((3, 3)))))
