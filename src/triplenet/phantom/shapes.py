"""Signed distances in millimetres, negative inside, and how they are joined.

They are approximations: exact on the surface, with a gradient of about one near it, which is what a
soft edge needs. Arguments broadcast.
"""

from __future__ import annotations

import numpy as np

from triplenet.phantom.lattice import Field


def ellipse(x: Field, y: Field, a: Field | float, b: Field | float) -> Field:
    """Distance to an ellipse (an elliptic cylinder) with half axes ``a`` and ``b``."""
    u, v = x / a, y / b
    k1 = np.sqrt(u * u + v * v)
    u, v = u / a, v / b
    k2 = np.sqrt(u * u + v * v)
    out: Field = k1 * (k1 - 1.0) / np.maximum(k2, 1e-6)
    return out


def superellipse(x: Field, y: Field, a: Field | float, b: Field | float, power: float) -> Field:
    """As :func:`ellipse`, squarer the higher the power."""
    u, v = np.abs(x / a), np.abs(y / b)
    k = (u**power + v**power) ** (1.0 / power)
    # The gradient of k along each axis; near the surface its length turns k - 1 into millimetres.
    safe = np.maximum(k, 1e-3)
    gx, gy = (u / safe) ** (power - 1.0) / a, (v / safe) ** (power - 1.0) / b
    out: Field = (k - 1.0) / np.maximum(np.sqrt(gx * gx + gy * gy), 1e-6)
    return out


def ellipsoid(
    z: Field, y: Field, x: Field, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> Field:
    """Distance to an axis-parallel ellipsoid; centre and radii in (z, y, x) order."""
    k1, k2 = np.zeros(1, np.float32), np.zeros(1, np.float32)
    for p, c, r in zip((z, y, x), centre, radii, strict=True):
        u = (p - c) / r
        k1 = k1 + u * u
        k2 = k2 + (u / r) ** 2
    root = np.sqrt(k1)
    out: Field = root * (root - 1.0) / np.maximum(np.sqrt(k2), 1e-6)
    return out


def capsule(z: Field, y: Field, x: Field, start: Field, end: Field, r0: float, r1: float) -> Field:
    """Distance to a round tube from ``start`` to ``end`` (z, y, x) whose radius goes from r0 to r1."""
    d = (end - start).astype(np.float32)
    pz, py, px = z - (start[0]), y - (start[1]), x - (start[2])
    h = np.clip((pz * d[0] + py * d[1] + px * d[2]) / (max(float(d @ d), 1e-6)), 0.0, 1.0)
    out: Field = np.sqrt((pz - h * d[0]) ** 2 + (py - h * d[1]) ** 2 + (px - h * d[2]) ** 2) - (r0 + h * (r1 - r0))
    return out


def union(a: Field, b: Field, k: float) -> Field:
    """Both shapes, their seam filled over about ``k`` mm (polynomial smooth minimum)."""
    h = np.maximum(k - np.abs(a - b), 0.0) / k
    out: Field = np.minimum(a, b) - h * h * (0.25 * k)
    return out


def intersection(a: Field, b: Field, k: float) -> Field:
    """What both shapes share, its rim rounded over about ``k`` mm."""
    return -union(-a, -b, k)


def without(a: Field, b: Field, k: float) -> Field:
    """The first shape less the second."""
    return -union(-a, b, k)


def coverage(distance: Field, width_mm: float) -> Field:
    """How much of a voxel lies inside, 0..1, for a voxel ``width_mm`` wide."""
    out = distance * (-1.0 / width_mm)
    out += 0.5
    return np.clip(out, 0.0, 1.0, out=out)
