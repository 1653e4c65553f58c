import numpy as np
import pytest
import torch

from toy_prepared import TASK, write_toy
from triplenet import catalog
from triplenet.catalog import Task
from triplenet.errors import BadPreparedSet, BadRecipe, CohortTooSmall, UnknownFinding
from triplenet.training.arrays import BatchIndex
from triplenet.training.data import load_fold
from triplenet.training.recipe import load_recipe

FINDINGS = ("none", "spot") * 9
TRIPLE, BASELINE = catalog.method("triple"), catalog.method("baseline")


def only(position):
    return BatchIndex.of([position], torch.device("cpu"))


def test_each_partition_holds_its_patients_images_masks_and_labels(tmp_path):
    prepared = write_toy(tmp_path / "set", FINDINGS)
    data = load_fold(prepared, TASK, 2, TRIPLE)
    fold = prepared.fold(2)
    for part, patients in ((data.train, fold.train), (data.validation, fold.validation), (data.test, fold.test)):
        assert part.patients == patients
        for position, patient in enumerate(patients):
            row = int(patient.removeprefix("p"))
            assert np.array_equal(part.images.fetch(only(position))[0], prepared.images[row])
            assert part.labels[position] == TASK.label(FINDINGS[row])
            if part.masks is not None:
                assert np.array_equal(part.masks.fetch(only(position))[0], prepared.masks[row])
    assert data.train.masks is not None
    assert load_fold(prepared, TASK, 2, BASELINE).train.masks is None


def test_the_mean_image_is_that_of_the_training_patients(tmp_path):
    prepared = write_toy(tmp_path / "set", FINDINGS)
    rows = [int(patient.removeprefix("p")) for patient in prepared.fold(1).train]
    expected = prepared.images[rows].mean(axis=0) / 255
    np.testing.assert_allclose(load_fold(prepared, TASK, 1, BASELINE).mean_image, expected, atol=1e-6)
    scalar = load_fold(prepared, TASK, 1, BASELINE, mean="scalar").mean_image
    np.testing.assert_allclose(scalar, np.full((64, 64), expected.mean()), atol=1e-6)


def test_who_teaches_a_method_nothing_is_left_out(tmp_path):
    def unlabel(images, masks):
        masks[[2, 18]] = 255

    # p018 and p019 have no finding; p018 has no mask either, p002 has a finding and no mask.
    prepared = write_toy(tmp_path / "set", (*FINDINGS, None, None), change=unlabel)
    triple = load_fold(prepared, TASK, 1, TRIPLE).train
    assert "p018" not in triple.patients
    assert triple.labels[triple.patients.index("p019")] == -1
    position = triple.patients.index("p002")
    assert triple.labels[position] == 0
    assert (triple.masks.fetch(only(position)) == 255).all()
    baseline = load_fold(prepared, TASK, 1, BASELINE)
    assert not {"p018", "p019"} & set(baseline.train.patients)
    assert torch.equal(baseline.mean_image, load_fold(prepared, TASK, 1, TRIPLE).mean_image)


def test_nobody_is_validated_or_tested_without_a_finding(tmp_path):
    fold = write_toy(tmp_path / "set", FINDINGS).fold(1)
    silent = {int(fold.validation[0].removeprefix("p")), int(fold.test[1].removeprefix("p"))}
    prepared = write_toy(tmp_path / "other", FINDINGS, labels=lambda row, finding: None if row in silent else finding)
    for method in (TRIPLE, BASELINE):
        data = load_fold(prepared, TASK, 1, method)
        assert data.validation.patients == fold.validation[1:]
        assert data.test.patients == (fold.test[0], *fold.test[2:])


def test_a_3d_method_reads_frames(tmp_path):
    resnet3d = catalog.method("resnet3d")
    prepared = write_toy(tmp_path / "set", FINDINGS, frames=3)
    data = load_fold(prepared, TASK, 1, resnet3d)
    assert data.train.images.shape == (12, 3, 64, 64)
    assert data.mean_image.shape == (64, 64)
    with pytest.raises(BadPreparedSet, match="--frames"):
        load_fold(write_toy(tmp_path / "flat", FINDINGS), TASK, 1, resnet3d)


def test_what_cannot_be_trained_on_is_refused(tmp_path):
    prepared = write_toy(tmp_path / "set", FINDINGS)
    other = Task("other", "", ("none", "cloud"), {"none": "none", "cloud": "cloud"})
    with pytest.raises(UnknownFinding, match="spot"):
        load_fold(prepared, other, 1, BASELINE)
    more = Task("more", "", ("none", "spot", "cloud"), {**TASK.findings, "cloud": "cloud"})
    with pytest.raises(CohortTooSmall, match="cloud"):
        load_fold(prepared, more, 1, BASELINE)
    with pytest.raises(BadPreparedSet, match="no fold 4"):
        load_fold(prepared, TASK, 4, BASELINE)

    def unlabel(images, masks):
        masks[:] = 255

    blind = write_toy(tmp_path / "blind", FINDINGS, change=unlabel)
    with pytest.raises(BadPreparedSet, match="learns from masks"):
        load_fold(blind, TASK, 1, TRIPLE)
    load_fold(blind, TASK, 1, BASELINE)

    def half(images, masks):
        masks[2, :10] = 255

    partly = write_toy(tmp_path / "partly", FINDINGS, change=half)
    with pytest.raises(BadPreparedSet, match="1 of 12 training patients have no whole mask, the first is p002"):
        load_fold(partly, TASK, 1, TRIPLE, whole_masks=True)
    load_fold(partly, TASK, 1, TRIPLE)
    load_fold(partly, TASK, 1, BASELINE, whole_masks=True)
    load_fold(prepared, TASK, 1, TRIPLE, whole_masks=True)
    with pytest.raises(BadRecipe, match=r"augmentation\.crop: 65 is larger"):
        load_recipe(method="baseline", settings=["augmentation.crop=65"]).for_images(prepared.info)
