import pytest
import torch

from triplenet.training.sampling import batches, order


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_shuffling_takes_every_patient_once():
    labels = torch.tensor([0] * 30 + [1] * 10)
    first, second = order(labels, "shuffle", generator()), order(labels, "shuffle", generator(1))
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second


def test_balanced_sampling_draws_every_class_equally_often():
    labels = torch.tensor([0] * 900 + [1] * 60 + [2] * 30 + [-1] * 110)
    drawn = torch.tensor(order(labels, "balanced", generator()))
    assert len(drawn) == 1100
    counts = {label: int((labels[drawn] == label).sum()) for label in (0, 1, 2, -1)}
    # 990 patients with a finding share their draws among three classes; five standard deviations of a count are 75.
    assert all(abs(counts[label] - 330) < 75 for label in (0, 1, 2))
    assert abs(counts[-1] - 110) < 50


def test_no_patient_is_drawn_that_should_not_be_and_the_draw_repeats():
    labels = torch.tensor([0, 1, 1, 1])
    several = [order(labels, "balanced", generator(seed)) for seed in range(50)]
    assert several == [order(labels, "balanced", generator(seed)) for seed in range(50)]
    drawn = [patient for one in several for patient in one]
    assert 70 < drawn.count(0) < 130  # half of 200; four standard deviations are 28
    assert set(drawn) == {0, 1, 2, 3}


def test_a_class_without_patients_is_not_waited_for():
    drawn = order(torch.tensor([0, 0, 2, 2, 2, 2]), "balanced", generator())
    assert set(drawn) <= set(range(6))


@pytest.mark.parametrize(("n", "lengths"), [(11, [4, 4, 2]), (9, [4, 4]), (3, [2]), (1, [0])])
def test_processes_share_a_short_batch_equally(n, lengths):
    parts = batches(n, 4, False, processes=2)
    assert [part.stop - part.start for part in parts] == lengths
