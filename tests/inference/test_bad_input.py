"""What is no ordinary scan of a chest: a result with a warning or a refusal with a code, and nothing half-written."""

import nibabel as nib
import numpy as np
import pytest

from inference.test_searched_slice import SLICES, TWO, patient
from scan.dicom_builder import write_series
from toy_model import MARKED_HU, marker
from triplenet import scan
from triplenet.errors import TripleNetError
from triplenet.outputs import predict_batch
from triplenet.scan import Geometry


def volume(folder, hu, geometry):
    scan.write_nifti(folder / "scan.nii.gz", hu, geometry)
    return folder / "scan.nii.gz"


def no_lung(folder):
    hu, geometry = patient()
    hu[hu < -100] = 40
    hu[..., :4] = -1000
    return volume(folder, hu, geometry), {}


def half_a_lung(folder):
    hu, geometry = patient(*TWO)
    return volume(folder, hu[..., 30:], Geometry((SLICES, 96, 66), geometry.affine)), {}


def one_lung(folder):
    hu, geometry = patient(*TWO)
    right = hu[..., :48]
    right[(right < -500) & (np.arange(96)[None, :, None] > 12) & (np.arange(48) > 10)] = 40
    return volume(folder, hu, geometry), {}


def abdomen(folder):
    hu, geometry = patient()
    solid = np.full_like(hu, 40)
    solid[..., :4] = -1000
    solid[:, 40:46, 40:46] = -990
    return volume(folder, solid, geometry), {}


def three_slices(folder):
    hu, geometry = patient((1, 45, 28, 14.0), slices=3)
    return volume(folder, hu, geometry), {}


def gaps(folder):
    hu, _ = patient(*TWO)
    write_series(folder / "gaps", hu, spacing=(4.0, 4.0), gap_mm=2.0)
    for path in sorted((folder / "gaps").iterdir())[30:36]:
        path.unlink()
    return folder / "gaps", {}


def gaps_allowed(folder):
    return gaps(folder)[0], {"allow_gaps": True}


def eight_bits(folder):
    hu, geometry = patient(*TWO)
    grey = np.clip((hu + 1000) / 5, 0, 255).astype(np.uint8)
    return volume(folder, grey, geometry), {}


def another_body_part(folder):
    hu, _ = patient()
    small = np.full_like(hu, 40)
    small[..., 38:47, 38:47] = -850
    small[..., :4] = -1000
    write_series(folder / "knee", small, spacing=(4.0, 4.0), gap_mm=2.0, BodyPartExamined="KNEE")
    return folder / "knee", {}


def nan_pixels(folder):
    hu, geometry = patient(*TWO)
    values = hu.astype(np.float32)
    values[:, 40:44, 40:44] = np.nan
    image = nib.load(volume(folder, hu, geometry))
    nib.save(nib.Nifti1Image(values.transpose(2, 1, 0), image.affine), folder / "nan.nii")
    return folder / "nan.nii", {}


def contradicting_masks(folder):
    """The infection lies in the heart, and the lung mask is of another scan."""
    hu, geometry = patient(*TWO)
    elsewhere = geometry.affine.copy()
    elsewhere[:3, 3] += 300
    scan.write_nifti(folder / "lung.nii", (hu < -500).astype(np.uint8), Geometry(geometry.shape, elsewhere))
    infection = (hu == MARKED_HU).astype(np.uint8)
    return volume(folder, hu, geometry), {"infection": infection, "lung": folder / "lung.nii"}


#: Input -> codes it may be refused with, and words of which one must stand in a result's warnings or notes.
INPUTS = {
    no_lung: ({"NO_LUNG", "NOT_A_CHEST"}, ()),
    half_a_lung: (set(), ("field of view cuts",)),
    one_lung: (set(), ("side only", "lung found is small", "field of view")),
    abdomen: ({"NO_LUNG", "NOT_A_CHEST"}, ()),
    three_slices: (set(), ("mm of the lungs are in the scan", "No infection of", "No mask showed")),
    gaps: ({"SERIES_GAP"}, ()),
    gaps_allowed: (set(), ("slices missing",)),
    eight_bits: ({"NOT_HU"}, ()),
    another_body_part: ({"NOT_A_CHEST", "NO_LUNG"}, ()),
    nan_pixels: (set(), ("no numbers (NaN)",)),
    contradicting_masks: ({"MASK_MISMATCH"}, ()),
}


@pytest.mark.parametrize("method", ["triple", "baseline"])
@pytest.mark.parametrize("make", INPUTS, ids=lambda make: make.__name__)
def test_it_is_a_result_with_a_warning_or_a_refusal_with_a_code(make, method, tmp_path):
    refused, told = INPUTS[make]
    (tmp_path / "in").mkdir()
    source, more = make(tmp_path / "in")
    out = tmp_path / "out"
    try:
        (written,) = predict_batch([source], marker(method=method), out, **more)
    except TripleNetError as error:
        assert error.code in refused, error
        assert not list(out.glob("**/*.json")) and not list(out.glob("**/*.png"))
    else:
        said = " ".join((*written.record.warnings, *written.record.scan.notes))
        assert told and any(word in said for word in told), said
        assert sorted(path.name for path in written.folder.iterdir()) == ["overlay.png", "result.json"]


def test_a_small_chest_is_an_ordinary_scan(tmp_path):
    """So that the warnings above are no habit."""
    hu, geometry = patient(*TWO)
    scan.write_nifti(tmp_path / "scan.nii.gz", hu, geometry)
    (written,) = predict_batch([tmp_path / "scan.nii.gz"], marker(), tmp_path / "out")
    said = " ".join((*written.record.warnings, *written.record.scan.notes))
    habits = ("No infection of", "No mask showed")
    assert not any(word in said for _, words in INPUTS.values() for word in words if word not in habits)
