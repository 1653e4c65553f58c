"""The supervised contrastive loss against loops, known values, another library, and degenerate batches."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from losses import loops
from triplenet.losses.contrastive import contrastive

variants = pytest.mark.parametrize("denominator", ["negatives", "all"])
LABELS = torch.tensor([0, 1, 0, 2, 1, -1, 0, 2, 3, -1])


def _vectors(rows: int, width: int = 16, dtype: torch.dtype = torch.float32) -> Tensor:
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).to(
        dtype
    )


@variants
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_is_the_loop_over_pairs(
    denominator: str, reduction: str, temperature: float, dtype: torch.dtype, tolerance: float
) -> None:
    z = _vectors(len(LABELS), dtype=dtype)
    loss = contrastive(z, LABELS, denominator=denominator, temperature=temperature, reduction=reduction)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(
        loops.contrastive(z, LABELS, denominator, temperature, reduction), rel=tolerance
    )


@pytest.mark.parametrize(
    ("denominator", "random", "perfect"),
    [("negatives", 3.87, -2 / 0.07 + math.log(32)), ("all", 4.56, math.log(31))],
)
def test_its_range_is_the_one_that_was_derived(denominator: str, random: float, perfect: float) -> None:
    """64 views of two classes: random unit vectors, and two classes at opposite poles (docs/methods.md#constants)."""
    labels = torch.arange(64) // 32
    draws = [normalize(torch.randn(64, 256, generator=torch.Generator().manual_seed(seed))) for seed in range(20)]
    mean = sum(contrastive(z, labels, denominator=denominator).item() for z in draws) / 20
    assert mean == pytest.approx(random, abs=0.06)
    poles = torch.zeros(64, 256)
    poles[:, 0] = 1 - 2 * labels
    assert contrastive(poles, labels, denominator=denominator).item() == pytest.approx(perfect, abs=1e-4)


@pytest.mark.parametrize("classes", [2, 4])
def test_all_is_the_loss_of_pytorch_metric_learning(classes: int) -> None:
    library = pytest.importorskip("pytorch_metric_learning.losses").SupConLoss(temperature=0.07)
    z, labels = _vectors(24), torch.arange(24) % classes
    torch.testing.assert_close(contrastive(z, labels, denominator="all"), library(z, labels))


@variants
@pytest.mark.parametrize("labels", [[0, 1, 0, 1, -1], [0, 0, 0, 1, 1], [0, 0, 1, 2, -1]])
def test_its_gradient_is_the_numerical_one(denominator: str, labels: list[int]) -> None:
    z = _vectors(5, 4, torch.float64).requires_grad_()

    def loss(x: Tensor) -> Tensor:
        return contrastive(x, torch.tensor(labels), denominator=denominator, temperature=0.5)

    assert torch.autograd.gradcheck(loss, (z,))


@variants
@pytest.mark.parametrize(
    ("labels", "defined"),
    [
        ([0, 0, 0, 0], {"all"}),  # one class: nothing to compare with in Eq. (3)
        ([0, 1, 2, 3], set()),  # no positives
        ([0], set()),
        ([-1, -1, -1], set()),  # no findings
        ([0, 0, -1], set()),  # a pair alone: each is all that the other is compared with
        ([0, 0, 1], {"all", "negatives"}),  # one patient in a class, and one without a partner
    ],
)
def test_a_batch_that_says_nothing_costs_nothing_and_keeps_the_graph(
    denominator: str, labels: list[int], defined: set[str]
) -> None:
    z = _vectors(len(labels)).requires_grad_()
    loss = contrastive(z, torch.tensor(labels), denominator=denominator)
    loss.backward()
    assert z.grad is not None and z.grad.isfinite().all()
    assert (loss.item() != 0) == (denominator in defined)
    assert bool(z.grad.any()) == (denominator in defined)


def test_rows_without_a_label_change_nothing() -> None:
    known = LABELS >= 0
    z = _vectors(len(LABELS))
    torch.testing.assert_close(contrastive(z, LABELS), contrastive(z[known], LABELS[known]))


@variants
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(denominator: str, dtype: torch.dtype) -> None:
    labels = torch.arange(16) % 2
    z = normalize(torch.ones(16, 8) + 0.01 * _vectors(16, 8)).to(dtype)  # nearly parallel: exp(14.3) overflows half
    loss = contrastive(z, labels, denominator=denominator)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, contrastive(z.float(), labels, denominator=denominator))


def test_autocast_does_not_reach_the_similarities() -> None:
    z, labels = _vectors(16), torch.arange(16) % 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = contrastive(z, labels)
    assert torch.equal(inside, contrastive(z, labels))


@variants
def test_parts_of_a_gathered_batch_average_to_the_whole(denominator: str) -> None:
    """Two processes with five rows each, whose gradients are averaged, are one with ten."""
    z = _vectors(len(LABELS)).requires_grad_()
    whole = contrastive(z, LABELS, denominator=denominator)
    parts = [contrastive(z, LABELS, denominator=denominator, anchors=part) for part in (slice(0, 5), slice(5, 10))]
    mean = torch.stack(parts).mean()
    torch.testing.assert_close(mean, whole)
    torch.testing.assert_close(torch.autograd.grad(mean, z), torch.autograd.grad(whole, z))


@variants
def test_a_part_is_the_loop_over_its_anchors(denominator: str) -> None:
    z = _vectors(len(LABELS))
    part = contrastive(z, LABELS, denominator=denominator, reduction="sum", anchors=slice(2, 7))
    assert part.item() == pytest.approx(loops.contrastive(z, LABELS, denominator, 0.07, "sum", range(2, 7)), rel=1e-5)
