"""Regions are told slice by slice, as whole volumes would tell them."""

import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest

from prepare.synthetic import chest
from scan.dicom_builder import write_series
from triplenet import scan
from triplenet.errors import BadMask
from triplenet.prepare.masks import MaskFault, Region, read_masks, read_second_infection
from triplenet.scan import Geometry, reorientation

LABELS = np.random.default_rng(0).choice(np.array([0, 0, 0, 1, 2, 255], np.uint8), (5, 6, 7))


@pytest.mark.parametrize("values", [(1,), (1, 2), (255,), ()])
def test_a_region_is_where_its_values_are(values):
    region = Region((LABELS, values))
    whole = np.isin(LABELS, values) if values else LABELS != 0
    for z in range(5):
        np.testing.assert_array_equal(region[z], whole[z])
    np.testing.assert_array_equal(region.areas, whole.sum(axis=(1, 2)))
    assert region.any()
    assert not Region((np.zeros_like(LABELS), values)).any()


def test_two_regions_together_are_either():
    other = np.roll(LABELS, 1)
    both = Region((LABELS, (1,))) | Region((other, ()))
    np.testing.assert_array_equal(both[3], (LABELS[3] == 1) | (other[3] != 0))


def grid():
    _, lung, infection, geometry = chest(lesion=(4, 40, 28, 5))
    return lung, infection, geometry, reorientation(geometry)


def test_a_labelled_mask_says_what_binary_ones_say():
    lung, infection, geometry, how = grid()
    one = read_masks(geometry, how, mask=np.where(infection > 0, 2, lung).astype(np.uint8))
    two = read_masks(geometry, how, infection=infection, lung=lung)
    for z in range(6):
        np.testing.assert_array_equal(one.lung[z], two.lung[z])
        np.testing.assert_array_equal(one.infection[z], two.infection[z])
    assert one.unlabelled is None


def test_infection_that_the_lung_mask_leaves_out_is_lung_all_the_same():
    lung, infection, geometry, how = grid()
    masks = read_masks(geometry, how, infection=infection, lung=lung * (infection == 0))
    np.testing.assert_array_equal(masks.lung[4], lung[4] > 0)


def test_unlabelled_voxels_are_kept_apart_and_other_values_refused():
    lung, _, geometry, how = grid()
    mask = lung.copy()
    mask[2, :10] = 255
    assert read_masks(geometry, how, mask=mask).unlabelled.areas.tolist() == [0, 0, 960, 0, 0, 0]
    mask[2, 0, 0] = 7
    with pytest.raises(MaskFault) as caught:
        read_masks(geometry, how, mask=mask)
    assert isinstance(caught.value.error, BadMask) and "value 7" in str(caught.value.error)


def test_a_segmentation_of_lung_and_infection_given_as_infection_does_not_make_the_lung_infected(tmp_path):
    pytest.importorskip("highdicom", reason="highdicom writes the segmentation")
    from scan.test_segmentation import segment

    hu, lung, infection, _ = chest(lesion=(4, 40, 28, 5))
    write_series(tmp_path / "ct", hu, spacing=(4, 4), gap_mm=4.0)
    path = segment(tmp_path / "both.dcm", tmp_path / "ct", np.where(infection > 0, 2, lung).astype(np.uint8))
    geometry = scan.open(tmp_path / "ct").geometry
    masks = read_masks(geometry, reorientation(geometry), infection=path, lung=path)
    np.testing.assert_array_equal(masks.infection[4], infection[4] > 0)
    np.testing.assert_array_equal(masks.lung[4], (lung[4] > 0) | (infection[4] > 0))


def test_labels_of_a_binary_mask_are_joined_and_named(tmp_path):
    _, lung, _, geometry = chest()
    labels = (lung > 0).astype(np.uint8)
    labels[:, :, 48:] *= 3
    scan.write_nifti(tmp_path / "m.nii", labels, geometry)
    masks = read_masks(geometry, reorientation(geometry), infection=tmp_path / "m.nii")
    assert masks.guessed and masks.notes == ("infection mask: the labels 1, 3 were joined",)


def test_a_segmentation_as_labelled_mask_is_lung_and_infection_without_the_rest(tmp_path):
    pytest.importorskip("highdicom", reason="highdicom writes the segmentation")
    from scan.test_segmentation import segment

    hu, lung, infection, _ = chest(lesion=(4, 40, 28, 5))
    write_series(tmp_path / "ct", hu, spacing=(4, 4), gap_mm=4.0)
    heart = np.zeros_like(lung)
    heart[:, 44:52, 44:52] = 1
    labels = np.where(infection > 0, 2, np.where(lung > 0, 1, 3 * heart)).astype(np.uint8)
    path = segment(tmp_path / "all.dcm", tmp_path / "ct", labels, names=("Lung", "Infection", "Heart"))
    geometry = scan.open(tmp_path / "ct").geometry
    masks = read_masks(geometry, reorientation(geometry), mask=path)
    np.testing.assert_array_equal(masks.infection[4], infection[4] > 0)
    np.testing.assert_array_equal(masks.lung[4], (lung[4] > 0) | (infection[4] > 0))
    assert masks.notes == ("mask: lung is segment 1 'Lung', infection is segment 2 'Infection', without 3 'Heart'",)
    path = segment(tmp_path / "odd.dcm", tmp_path / "ct", labels, names=("Lung", "Segment_2", "Heart"), coded=False)
    with pytest.raises(MaskFault, match="cannot be told"):
        read_masks(geometry, reorientation(geometry), mask=path)


def test_a_second_readers_segmentation_gives_its_infection_alone_and_the_lung_takes_it_in(tmp_path):
    pytest.importorskip("highdicom", reason="highdicom writes the segmentation")
    from scan.test_segmentation import segment

    hu, lung, infection, _ = chest(lesion=(4, 40, 28, 5))
    write_series(tmp_path / "ct", hu, spacing=(4, 4), gap_mm=4.0)
    path = segment(tmp_path / "both.dcm", tmp_path / "ct", np.where(infection > 0, 2, lung).astype(np.uint8))
    geometry = scan.open(tmp_path / "ct").geometry
    without = Region((lung * (infection == 0), ()))
    second = read_second_infection(geometry, reorientation(geometry), path, without)
    np.testing.assert_array_equal(second.infection[4], infection[4] > 0)
    np.testing.assert_array_equal(second.lung[4], lung[4] > 0)
    assert second.notes == ("second infection mask: infection is segment 2 'Infection', without 1 'Lung'",)


def test_without_a_second_reader_nothing_is_known_and_without_a_lung_none():
    lung, infection, geometry, how = grid()
    nobody = read_second_infection(geometry, how, None, Region((lung, ())))
    assert (nobody.infection, nobody.lung, nobody.notes) == (None, None, ())
    assert read_second_infection(geometry, how, infection, None).lung is None


def test_a_second_readers_joined_labels_are_guessed_and_one_elsewhere_is_a_fault_of_its_column(tmp_path):
    _, infection, geometry, how = grid()
    labels = infection * np.where(np.arange(96) < 28, 1, 3).astype(np.uint8)
    scan.write_nifti(tmp_path / "m.nii", labels, geometry)
    second = read_second_infection(geometry, how, tmp_path / "m.nii", None)
    assert second.guessed and second.notes == ("second infection mask: the labels 1, 3 were joined",)
    with pytest.raises(MaskFault, match="6 x 80 x 96") as caught:
        read_second_infection(geometry, how, infection[:, :80], None)
    assert caught.value.column == "second_infection"


def tilted(degrees):
    """The grid of a scan of 4 mm voxels with a gantry tilt: each slice begins further back than the one below it."""
    _, _, geometry, _ = grid()
    affine = geometry.affine.copy()
    affine[1, 0] = 4 * np.tan(np.radians(degrees))
    return Geometry(geometry.shape, affine)


def test_of_a_tilted_scan_the_refusal_names_the_tilt_and_its_own_grid_is_taken(tmp_path):
    _, infection, straight, _ = grid()
    sheared = tilted(20)
    for name, geometry in (("own", sheared), ("straight", straight)):
        scan.write_nifti(tmp_path / f"{name}.nii", infection, geometry)
    own = read_masks(sheared, reorientation(sheared), infection=tmp_path / "own.nii")
    np.testing.assert_array_equal(own.infection[4], infection[4] > 0)
    with pytest.raises(MaskFault) as caught:
        read_masks(sheared, reorientation(sheared), infection=tmp_path / "straight.nii")
    assert "up to 1.8 voxels off" in caught.value.error.what  # 5 slices of 4 mm, 20 mm tan 20 degrees
    assert "which has a gantry tilt of 20.0 degrees" in caught.value.error.do
    with pytest.raises(MaskFault) as caught:
        read_masks(straight, reorientation(straight), infection=tmp_path / "own.nii")
    assert caught.value.error.do == "give the mask that was drawn on this scan"


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
@pytest.mark.parametrize("degrees", [12.0, -20.0])
def test_what_dcm2niix_makes_of_a_tilted_series_is_never_laid_elsewhere(tmp_path, degrees):
    """Its image of the slices as they are and its straightened one; the lesion is 27 mm off by their headers."""
    hu = np.zeros((40, 48, 52), np.int16)
    hu[10:14, 20:28, 30:36] = 1500
    angle = np.radians(degrees)
    write_series(
        tmp_path / "ct", hu, down=(0, np.cos(angle), np.sin(angle)), step=(0, 0, 2 / np.cos(angle)), signed=True,
        intercept=0.0, GantryDetectorTilt=-degrees, StudyDate="20200101", SeriesTime="101010", Manufacturer="SIEMENS",
    )  # fmt: skip
    command = ["dcm2niix", "-z", "n", "-f", "x", "-o", str(tmp_path), str(tmp_path / "ct")]
    subprocess.run(command, capture_output=True, check=True)
    made = sorted(tmp_path.glob("x*.nii"))
    assert len(made) == 2
    axial, how = scan.open(tmp_path / "ct").canonical()
    for path in made:
        image = nib.load(path)
        drawn = (np.asanyarray(image.dataobj) > 1000).astype(np.uint8)
        nib.save(nib.Nifti1Image(drawn, image.affine), tmp_path / "m.nii")
        try:
            masks = read_masks(axial.geometry, how, infection=tmp_path / "m.nii")
        except MaskFault as fault:
            assert f"gantry tilt of {abs(degrees):.1f} degrees" in fault.error.do
        else:  # another version may place it where it is
            np.testing.assert_array_equal([masks.infection[z] for z in range(40)], hu > 1000)
