"""The lung mask by thresholds."""

import os
from pathlib import Path

import numpy as np
import pytest

from prepare.synthetic import chest
from scan.grids import to_canonical
from triplenet import scan
from triplenet.prepare.lung import by_thresholds, lung_mask


def dice(a, b):
    return 2 * np.logical_and(a, b).sum() / (a.sum() + b.sum())


def test_it_finds_both_lungs_with_their_vessels():
    hu, lung, _, geometry = chest()
    found = lung_mask(hu, geometry.spacing_mm)
    assert dice(found > 0, lung > 0) > 0.95
    assert found[(hu > -200) & (lung > 0)].mean() > 0.9  # vessels are part of the lung


def test_one_slice_is_enough():
    hu, lung, _, geometry = chest()
    assert dice(lung_mask(hu[2:3], geometry.spacing_mm) > 0, lung[2:3] > 0) > 0.95


def test_stomach_gas_and_the_trachea_are_no_lung():
    hu, _, _, geometry = chest()
    rows, columns = np.ogrid[0:96, 0:96]
    trachea = (rows - 40) ** 2 + (columns - 48) ** 2 < 3**2
    gas = (rows > 70) & (rows < 76) & (columns > 40) & (columns < 56)
    hu[:, trachea] = -1000
    hu[:, gas] = -1000
    found = lung_mask(hu, geometry.spacing_mm)
    assert found[:, trachea].sum() == 0
    assert found[:, gas].sum() == 0


def test_a_scan_without_lung_gives_an_empty_mask():
    hu = np.full((4, 64, 64), -1000, np.int16)
    hu[:, 8:56, 8:56] = 40
    assert lung_mask(hu, (5.0, 3.0, 3.0)).sum() == 0
    assert by_thresholds(hu, (5.0, 3.0, 3.0)).areas_mm2.sum() == 0


def test_the_slice_areas_follow_the_lung():
    hu, lung, _, geometry = chest()
    areas = by_thresholds(hu, geometry.spacing_mm).areas_mm2
    assert areas.argmax() == 2
    np.testing.assert_allclose(areas, lung.sum(axis=(1, 2)) * 16.0, rtol=0.2)


@pytest.mark.real_data
def test_on_a_real_scan_the_volume_is_a_lung_volume():
    folder = os.environ.get("TRIPLENET_REAL_DATA")
    if not folder:
        pytest.skip("TRIPLENET_REAL_DATA does not name the folder with real scans")
    volume, _ = to_canonical(scan.read(Path(folder) / "dicom" / "covid-ct-md_P001"))
    spacing = volume.geometry.spacing_mm
    found = lung_mask(volume.hu, spacing)
    assert 3.0 < found.sum() * np.prod(spacing) / 1e6 < 8.0  # litres
    assert volume.hu[found > 0].mean() == pytest.approx(-800, abs=80)


def test_a_trachea_whose_bronchus_opens_into_the_lung_stays_out_of_it():
    hu, lung, _, geometry = chest(slices=20)
    y, x = np.mgrid[0:96, 0:96]
    airway = np.zeros(hu.shape, bool)
    airway[8:] = (x - 47.5) ** 2 + (y - 50) ** 2 < 2.6**2
    trachea = airway[11:].copy()
    airway[8:11, 48:53, 30:49] = True  # to the right lung
    hu[airway & (lung == 0)] = -1000
    mask = lung_mask(hu, geometry.spacing_mm) > 0
    assert (mask[11:] & trachea).sum() < 0.2 * trachea.sum()
    assert (mask & (lung > 0)).sum() > 0.98 * (lung > 0).sum()
