"""What the benchmark of a step counts: bytes by hand, time that overlaps once."""

from __future__ import annotations

import pytest
import torch
from benchmarks.step_costs import Traffic, bandwidth, covered, size_of


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(shape)


@pytest.mark.parametrize(
    ("work", "expected", "operations"),
    [
        (lambda a, b: a + b, 3 * 48, 1),  # 12 numbers of 4 bytes: two read, one written
        (lambda a, b: a + a, 2 * 48, 1),  # the same tensor comes once
        (lambda a, b: a.add_(b), 3 * 48, 1),
        (lambda a, b: a.copy_(b), 2 * 48, 1),
        (lambda a, b: a.zero_(), 48, 1),
        (lambda a, b: a.view(12).t(), 0, 0),
        (lambda a, b: a[0].sum(), 16 + 4, 1),  # a row of four numbers, and the sum
        (lambda a, b: torch.add(a, b, out=torch.empty(3, 4)), 3 * 48, 1),
        (lambda a, b: torch._foreach_add_([a, b], 1), 4 * 48, 1),
        (lambda a, b: a.to(torch.bfloat16), 48 + 24, 1),
        (lambda a, b: torch.empty(1000), 0, 0),
    ],
)
def test_operations_read_and_write_bytes(work, expected, operations) -> None:
    first, second = ones(3, 4), ones(3, 4)
    with Traffic() as traffic:
        work(first, second)
    assert (traffic.bytes, traffic.operations) == (expected, operations)


def test_the_backward_pass_counts() -> None:
    weight = ones(3, 4).requires_grad_()
    with Traffic() as forward:
        loss = weight.square().sum()
    with Traffic() as backward:
        loss.backward()
    assert forward.bytes == 48 + 48 + 48 + 4
    assert backward.bytes > 2 * 48


def test_an_expanded_tensor_is_as_large_as_what_lies_behind_it() -> None:
    assert size_of(ones(1, 4).expand(100, 4)) == 16
    assert size_of(ones(3, 4)[1:]) == 32


@pytest.mark.parametrize(
    ("spans", "length"),
    [([], 0), ([(0, 2), (1, 3), (5, 6)], 4), ([(5, 6), (0, 10)], 10), ([(0, 1), (1, 2)], 2)],
)
def test_overlapping_time_counts_once(spans, length) -> None:
    assert covered(spans) == length


def test_the_bandwidth_is_that_of_the_bytes_moved(monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.step_costs.ARRAY_BYTES", {"cpu": 4000})
    monkeypatch.setattr("benchmarks.step_costs._fastest", lambda work, device: work() is None or 1e-6)
    assert bandwidth(torch.device("cpu")) == {"copy_gb_per_s": 8.0, "triad_gb_per_s": 12.0}
