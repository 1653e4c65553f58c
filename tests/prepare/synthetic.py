"""A chest as simple as can be: two air-filled ellipses in a body, with vessels, written as NIfTI."""

import numpy as np

from triplenet import scan
from triplenet.scan import Geometry


def chest(slices=6, size=96, lesion=None):
    """HU (Z, Y, X) int16, lung and infection masks, geometry of 4 x 4 x 4 mm voxels; lungs are largest in slice 2."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    hu = np.full((slices, size, size), -1000.0)
    lung = np.zeros(hu.shape, bool)
    for z in range(slices):
        hu[z][(x / 0.42) ** 2 + (y / 0.32) ** 2 < 1] = 40
        scale = 1 - 0.05 * abs(z - 2)
        for side in (-0.2, 0.2):
            lung[z] |= ((x - side) / (0.15 * scale)) ** 2 + (y / (0.24 * scale)) ** 2 < 1
    hu[lung] = -860
    vessels = (rng.random(hu.shape) < 0.08) & lung
    hu[vessels] = -100
    infection = np.zeros(hu.shape, np.uint8)
    if lesion is not None:
        z, row, column, radius = lesion
        infection[z] = ((y * size + size / 2 - row) ** 2 + (x * size + size / 2 - column) ** 2 < radius**2) & lung[z]
        hu[infection > 0] = -500
    hu += rng.normal(0, 10, hu.shape)
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = 4.0
    affine[3, 3] = 1
    return hu.astype(np.int16), lung.astype(np.uint8), infection, Geometry(hu.shape, affine)


def write(folder, name, hu, geometry, **masks):
    """Write scan and masks; returns the cells of the cohort table."""
    scan.write_nifti(folder / f"{name}.nii", hu, geometry)
    cells = {"patient": name, "scan": f"{name}.nii"}
    for column, mask in masks.items():
        scan.write_nifti(folder / f"{name}-{column}.nii", mask, geometry)
        cells[column] = f"{name}-{column}.nii"
    return cells
