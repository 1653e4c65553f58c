"""Grids in the patient for tests: turned, sheared, anywhere."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from triplenet.scan import Geometry, Reorientation, Scan, reorientation

HEAD_BACK_LEFT = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])  # LPS directions of z, y, x


def rotation(angles: tuple[float, float, float]) -> np.typing.NDArray[np.float64]:
    a, b, c = np.radians(angles)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)


def to_canonical(scan: Scan) -> tuple[Scan, Reorientation]:
    """The scan in canonical orientation, and what puts an array on its grid back onto the scan's own."""
    how = reorientation(scan.geometry)
    return Scan(np.ascontiguousarray(how.apply(scan.hu)), how.apply_geometry(scan.geometry), scan.source), how


angles = st.floats(-180, 180)
lengths = st.floats(0.3, 8.0)
geometries = st.builds(
    lambda shape, turn, spacing, origin, shear: _geometry(shape, rotation(turn), spacing, origin, shear),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.tuples(angles, angles, angles),
    st.tuples(lengths, lengths, lengths),
    st.tuples(*[st.floats(-500, 500)] * 3),
    st.floats(-0.3, 0.3),
)


def _geometry(
    shape: tuple[int, int, int],
    turn: np.typing.NDArray[np.float64],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    shear: float,
) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 0] += shear * affine[:3, 1]
    affine[:3, 3] = origin
    return Geometry(shape, affine)
