"""Regions are told slice by slice, as whole volumes would tell them."""

import numpy as np
import pytest

from prepare.synthetic import chest
from scan.dicom_builder import write_series
from triplenet import scan
from triplenet.errors import BadMask
from triplenet.prepare.masks import MaskFault, Region, read_masks, read_second_infection
from triplenet.scan import reorientation

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
