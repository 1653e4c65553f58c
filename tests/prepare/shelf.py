"""Chests and other bodies with what makes a lung hard to find, each with the lung that is really there.

Chests are the phantom's, cut, cropped or painted on; heads and bellies are a few ellipsoids.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from triplenet import phantom

AIR = -1000


@dataclass(frozen=True)
class Subject:
    """A scan and what is true of it.

    :param hu: (Z, Y, X) int16
    :param lung: (Z, Y, X) bool, all that is lung
    :param no_lung: (Z, Y, X) bool, air that a finder of lungs may take for one
    """

    hu: npt.NDArray[np.int16]
    lung: npt.NDArray[np.bool_]
    no_lung: npt.NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]

    def cropped(self, *box: slice) -> Subject:
        return Subject(self.hu[box], self.lung[box], self.no_lung[box], self.spacing_mm)

    def within(self, inside: npt.NDArray[np.bool_], padding: int = -1024) -> Subject:
        """With a field of view (Y, X): beyond it is padding."""
        hu = np.where(inside, self.hu, padding).astype(np.int16)
        return Subject(hu, self.lung & inside, self.no_lung & inside, self.spacing_mm)

    def with_gas(self, gas: npt.NDArray[np.bool_], hu: npt.ArrayLike = -990.0) -> Subject:
        """With gas that is no lung."""
        gas = gas & ~self.lung
        return Subject(np.where(gas, hu, self.hu).astype(np.int16), self.lung, self.no_lung | gas, self.spacing_mm)

    def with_noise(self, sd: float, seed: int = 0) -> Subject:
        noise = np.random.default_rng(seed).normal(0.0, sd, self.hu.shape)
        noisy = np.clip(np.rint(self.hu + noise), -1024, 3071)
        return Subject(
            np.where(self.hu > -1024, noisy, -1024).astype(np.int16), self.lung, self.no_lung, self.spacing_mm
        )

    def blurred(self, sigma_mm: float) -> Subject:
        pixels = sigma_mm / self.spacing_mm[2]
        soft = ndimage.gaussian_filter(self.hu.astype(np.float32), (0, pixels, pixels))
        hu = np.where(self.hu > -1024, soft, -1024).astype(np.int16)
        return Subject(hu, self.lung, self.no_lung, self.spacing_mm)


@cache
def chest(index: int = 0, thickness_mm: float = 4.0, matrix: int = 144) -> Subject:
    """A phantom on its table; number 4 has the arms beside the body."""
    made = phantom.patient(11, index, finding="negative", matrix=matrix, thickness_mm=thickness_mm)
    return Subject(made.hu, made.lung > 0, np.zeros(made.hu.shape, np.bool_), made.geometry.spacing_mm)


def circle(subject: Subject, row: float, column: float, radius_mm: float) -> npt.NDArray[np.bool_]:
    """(Y, X): a field of view."""
    y, x = np.ogrid[: subject.hu.shape[1], : subject.hu.shape[2]]
    _, high, wide = subject.spacing_mm
    return np.asarray(np.hypot((y - row) * high, (x - column) * wide) < radius_mm)


def ellipsoid(
    subject: Subject, centre: tuple[float, float, float], radii_mm: tuple[float, float, float]
) -> npt.NDArray[np.bool_]:
    """(Z, Y, X), around a voxel."""
    axes = np.ogrid[tuple(slice(0, side) for side in subject.hu.shape)]
    terms = (
        (axis - middle) * step / radius
        for axis, middle, step, radius in zip(axes, centre, subject.spacing_mm, radii_mm, strict=True)
    )
    return np.asarray(sum(term**2 for term in terms) < 1.0)


def belly(subject: Subject) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Stomach gas right below the left lung with a thin wall between, and a bend of the colon in front of it."""
    left = subject.lung.copy()
    left[:, :, : subject.lung.shape[2] // 2] = False
    above = np.maximum.accumulate(left[::-1], axis=0)[::-1]  # below some lung, or lung
    distance = ndimage.distance_transform_edt(~left, sampling=subject.spacing_mm)
    body = ndimage.binary_erosion(subject.hu > -300, np.ones((1, 3, 3)), iterations=2)
    under = above & ~left & body & (distance > 5.0)
    place = np.unravel_index(np.argmax(np.where(under, distance, 0.0)), under.shape)
    stomach = ellipsoid(subject, place, (40.0, 45.0, 45.0)) & under
    colon = ellipsoid(subject, (place[0], place[1] - 40 / subject.spacing_mm[1], place[2]), (30.0, 20.0, 60.0)) & under
    return stomach, colon & ~stomach


def stool(subject: Subject) -> npt.NDArray[np.float64]:
    """(Z, Y, X): gas and lumps."""
    coarse = ndimage.gaussian_filter(np.random.default_rng(3).normal(0.0, 1.0, subject.hu.shape), 0.8)
    return np.where(coarse > 0.15, -250.0, -960.0)


def head(filled: float = 35.0) -> Subject:
    """Bone around brain, with sinuses and air cells; ``filled`` with air it is a skull from a test laboratory."""
    blank = Subject(*(np.zeros((40, 128, 128), kind) for kind in (np.int16, np.bool_, np.bool_)), (4.0, 2.0, 2.0))
    rng = np.random.default_rng(1)
    hu = np.full(blank.hu.shape, float(AIR))
    hu[ellipsoid(blank, (16, 64, 64), (110, 98, 82))] = 40
    hu[ellipsoid(blank, (16, 64, 64), (102, 90, 74))] = 1100
    inside = ellipsoid(blank, (16, 64, 64), (96, 84, 68))
    hu[inside] = filled
    air = np.zeros(inside.shape, np.bool_)
    for row, column, size in ((30, 52, 16), (30, 76, 16), (26, 64, 12), (80, 38, 10), (80, 90, 10)):
        air |= ellipsoid(blank, (8, row, column), (24, size, size))
    hu[air] = -990
    no_lung = air | inside if filled < -900 else air
    hu += ndimage.gaussian_filter(rng.normal(0, 1, hu.shape), (0, 0.6, 0.6)) * 20
    return Subject(np.clip(hu, -1024, 3071).astype(np.int16), blank.lung, no_lung, blank.spacing_mm)


def abdomen() -> Subject:
    """A belly with gas in stomach and colon, stool among it, on a table."""
    blank = Subject(*(np.zeros((40, 128, 128), kind) for kind in (np.int16, np.bool_, np.bool_)), (5.0, 3.0, 3.0))
    rng = np.random.default_rng(2)
    hu = np.full(blank.hu.shape, float(AIR))
    hu[:, 108:110, 10:118] = -150
    hu[:, 110:118, 10:118] = -930
    hu[:, 118:120, 10:118] = -150
    hu[ellipsoid(blank, (20, 64, 64), (900, 120, 165))] = -90
    hu[ellipsoid(blank, (20, 64, 64), (900, 105, 145))] = 50
    hu[ellipsoid(blank, (20, 96, 64), (900, 22, 24))] = 400
    gas = ellipsoid(blank, (32, 46, 84), (40, 30, 50))
    colon = np.zeros(gas.shape, np.bool_)
    for k in range(9):
        colon |= ellipsoid(blank, (18, 36, 30 + 8 * k), (22, 24, 16))
    for side in (26, 100):
        for k in range(7):
            colon |= ellipsoid(blank, (4 + 5 * k, 66, side), (16, 22, 20))
    hu[gas] = -985
    hu[colon] = stool(blank)[colon]
    hu += ndimage.gaussian_filter(rng.normal(0, 1, hu.shape), (0, 0.6, 0.6)) * 20
    return Subject(np.clip(hu, -1024, 3071).astype(np.int16), blank.lung, gas | colon, blank.spacing_mm)
