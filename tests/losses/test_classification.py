"""Cross-entropy, reconstruction and the curriculum."""

from __future__ import annotations

import pytest
import torch

from losses import loops
from triplenet.losses.classification import cross_entropy
from triplenet.losses.curriculum import contrastive_weight
from triplenet.losses.reconstruction import reconstruction

LABELS = torch.tensor([0, 2, -1, 1, 2, -1])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 3.0]])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_is_the_loop_over_patients(
    reduction: str, weights: list[float] | None, dtype: torch.dtype, tolerance: float
) -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    factors = None if weights is None else torch.tensor(weights)
    loss = cross_entropy(logits, LABELS, reduction, factors)
    assert loss.item() == pytest.approx(loops.cross_entropy(logits, LABELS, reduction, weights), rel=tolerance)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0])])
def test_patients_without_a_finding_cost_nothing_and_keep_the_graph(
    reduction: str, weights: torch.Tensor | None
) -> None:
    logits = torch.randn(3, 2).requires_grad_()
    loss = cross_entropy(logits, torch.full((3,), -1), reduction, weights)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and not logits.grad.any()


def test_half_precision_is_computed_in_single() -> None:
    logits = torch.tensor([[30.0, -30.0]], dtype=torch.float16)
    assert cross_entropy(logits, torch.tensor([1])).item() == pytest.approx(60)
    assert cross_entropy(logits, torch.tensor([1])).dtype == torch.float32


def test_its_gradient_is_the_numerical_one() -> None:
    logits = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, LABELS, "mean", torch.tensor([1.0, 2, 3])), (logits,))


def test_reconstruction_is_the_mean_squared_difference() -> None:
    images = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    assert reconstruction(images + torch.tensor([1.0, -2.0]), images).item() == pytest.approx(2.5)
    assert reconstruction(images.half() * 100, images.half()).dtype == torch.float32


@pytest.mark.parametrize(
    ("shape", "weights"),
    [("linear", [1, 0.75, 0.5, 0.25]), ("parabolic", [1, 0.9375, 0.75, 0.4375]), ("off", [0.5, 0.5, 0.5, 0.5])],
)
def test_the_curriculum_goes_from_one_to_nearly_zero(shape: str, weights: list[float]) -> None:
    assert [contrastive_weight(epoch / 4, shape) for epoch in range(4)] == weights
    assert [float(contrastive_weight(torch.tensor(epoch / 4), shape)) for epoch in range(4)] == weights
