"""Which patients and masks a smaller training uses."""

import numpy as np
import pytest
import torch

from toy_prepared import TASK, write_toy
from triplenet import catalog
from triplenet.errors import BadRecipe
from triplenet.training.arrays import BatchIndex, DeviceArray, HiddenRows
from triplenet.training.data import load_fold
from triplenet.training.training_draw import draw_masks, draw_patients

TRIPLE, BASELINE = catalog.method("triple"), catalog.method("baseline")
LABELS = np.array([0] * 30 + [1] * 15 + [2] * 5)
ROWS = np.arange(50) + 100


@pytest.mark.parametrize(
    ("number", "counts"),
    [
        (50, [30, 15, 5]),
        (10, [6, 3, 1]),
        (11, [7, 3, 1]),  # 6.6, 3.3 and 1.1
        (12, [7, 4, 1]),  # 7.2, 3.6 and 1.2
        (4, [2, 1, 1]),  # 2.4, 1.2 and 0.4, which must be 1
        (3, [1, 1, 1]),  # 1.8, 0.9 and 0.3
    ],
)
def test_classes_are_drawn_in_their_proportions_and_each_at_least_once(number, counts):
    rows = draw_patients(ROWS, LABELS, number, 0)
    assert np.bincount(LABELS[rows - 100], minlength=3).tolist() == counts
    assert (np.diff(rows) > 0).all()


def test_the_seed_decides_who_is_drawn():
    first = draw_patients(ROWS, LABELS, 10, 0)
    assert np.array_equal(first, draw_patients(ROWS, LABELS, 10, 0))
    assert not np.array_equal(first, draw_patients(ROWS, LABELS, 10, 1))
    assert set(first) <= set(draw_patients(ROWS, LABELS, 20, 0))


@pytest.mark.parametrize(("number", "says"), [(51, "the fold has 50"), (2, "for 3 classes")])
def test_a_number_that_cannot_be_drawn_is_refused(number, says):
    with pytest.raises(BadRecipe, match=says):
        draw_patients(ROWS, LABELS, number, 0)


def test_masks_of_a_smaller_share_are_among_those_of_a_larger_one():
    tenth, third = draw_masks(ROWS, 0.1, 0), draw_masks(ROWS, 0.3, 0)
    assert (len(tenth), len(third), len(draw_masks(ROWS, 0.001, 0))) == (5, 15, 1)
    assert set(tenth) < set(third) < set(draw_masks(ROWS, 1.0, 0)) == set(ROWS)
    assert set(tenth) != set(draw_masks(ROWS, 0.1, 1))


def test_hidden_masks_are_unlabelled_in_every_pixel():
    masks = torch.arange(24, dtype=torch.uint8).reshape(4, 2, 3)
    rows = HiddenRows(DeviceArray(masks), torch.tensor([False, True, False, False]))
    assert (len(rows), rows.shape) == (4, (4, 2, 3))
    read = rows.fetch(BatchIndex.of([2, 1], torch.device("cpu")))
    assert torch.equal(read, torch.stack([masks[2], torch.full((2, 3), 255, dtype=torch.uint8)]))
    assert masks[1].tolist() == [[6, 7, 8], [9, 10, 11]]


@pytest.mark.parametrize("stream", [False, True])
def test_a_share_of_the_masks_leaves_the_others_unlabelled(tmp_path, stream):
    prepared = write_toy(tmp_path / "set", ("none", "spot") * 12)
    whole, part = (load_fold(prepared, TASK, 1, TRIPLE, mask_share=share, stream=stream).train for share in (1.0, 0.25))
    assert part.patients == whole.patients
    every = BatchIndex.of(range(len(whole)), torch.device("cpu"))
    part.masks.prefetch(every)
    known = (part.masks.fetch(every) != 255).flatten(1).any(1)
    assert int(known.sum()) == round(0.25 * len(whole))
    assert torch.equal(part.masks.fetch(every)[known], whole.masks.fetch(every)[known])
    assert torch.equal(part.images.fetch(every), whole.images.fetch(every))


def test_who_has_neither_finding_nor_a_mask_that_is_used_is_left_out(tmp_path):
    prepared = write_toy(tmp_path / "set", ("none", "spot") * 10 + (None,) * 10)
    train = load_fold(prepared, TASK, 1, TRIPLE, mask_share=0.1).train
    known = {
        name
        for place, name in enumerate(train.patients)
        if (train.masks.fetch(BatchIndex.of([place], torch.device("cpu"))) != 255).any()
    }
    assert {name for name, label in zip(train.patients, train.labels.tolist(), strict=True) if label < 0} <= known


def test_all_methods_learn_from_the_same_patients_and_their_mean_image(tmp_path):
    prepared = write_toy(tmp_path / "set", ("none", "spot") * 10 + (None,) * 4)
    triple, baseline = (load_fold(prepared, TASK, 1, one, patients=6, seed=3) for one in (TRIPLE, BASELINE))
    assert triple.train.patients == baseline.train.patients
    assert sorted(triple.train.labels.tolist()) == [0, 0, 0, 1, 1, 1]
    images = prepared.images[prepared.rows(triple.train.patients)]
    np.testing.assert_allclose(triple.mean_image, images.mean(axis=0) / 255, atol=1e-6)
    assert triple.test.patients == load_fold(prepared, TASK, 1, TRIPLE).test.patients
    other = load_fold(prepared, TASK, 1, BASELINE, patients=6, seed=4)
    assert other.train.patients != triple.train.patients
