"""The segmentation loss against loops over pixels, hand-worked values and unlabelled pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from losses import loops
from triplenet.losses.dice import dice


def _case(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3, 3, 5, 4, generator=generator, dtype=torch.float64)
    masks = torch.randint(0, 3, (3, 5, 4), generator=generator).to(torch.uint8)
    masks[0, :2] = 255
    masks[1] = 255
    return logits.to(dtype), masks


def _certain(masks: Tensor) -> Tensor:
    """Logits whose softmax is the one-hot mask."""
    return 200 * torch.stack([(masks == value).float() for value in range(3)], 1)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("smooth", [1.0, 0.01])
@pytest.mark.parametrize("over", ["batch", "image"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_is_the_loop_over_pixels(factor: int, smooth: float, over: str, dtype: torch.dtype, tolerance: float) -> None:
    logits, masks = _case(dtype)
    loss = dice(logits, masks, factor=factor, smooth=smooth, over=over)
    assert loss.item() == pytest.approx(loops.dice(logits, masks, factor, smooth, over), rel=tolerance)


def test_a_perfect_segmentation_costs_nothing_with_factor_2_and_nearly_half_with_1() -> None:
    masks = torch.tensor([[[0, 0, 1], [1, 2, 2]]], dtype=torch.uint8)
    assert dice(_certain(masks), masks).item() == pytest.approx(0, abs=1e-6)
    # Each class has two pixels: 1 - (2 + 1) / (4 + 1).
    assert dice(_certain(masks), masks, factor=1).item() == pytest.approx(0.4)
    assert dice(_certain(masks), masks, factor=1, smooth=0).item() == pytest.approx(0.5)


def test_everything_wrong_costs_nearly_one() -> None:
    masks = torch.tensor([[[0, 0, 1], [1, 2, 2]]], dtype=torch.uint8)
    # 1 - (0 + 1) / (2 + 2 + 1)
    assert dice(_certain((masks + 1) % 3), masks).item() == pytest.approx(0.8)


def test_unlabelled_pixels_change_nothing_whatever_is_predicted_there() -> None:
    logits, masks = _case()
    changed = logits.clone()
    changed.transpose(0, 1)[:, masks == 255] = 50 * torch.randn(3, int((masks == 255).sum()))
    for over in ("batch", "image"):
        torch.testing.assert_close(dice(changed, masks, over=over), dice(logits, masks, over=over))


def test_a_label_of_the_lung_alone_is_possible() -> None:
    logits, masks = _case(torch.float64)
    masks[masks != 1] = 255
    logits.requires_grad_()
    dice(logits, masks).backward()
    assert logits.grad is not None
    assert logits.grad.transpose(0, 1)[:, masks == 1].any() and not logits.grad.transpose(0, 1)[:, masks == 255].any()


@pytest.mark.parametrize("over", ["batch", "image"])
@pytest.mark.parametrize("smooth", [1.0, 0.0])
@pytest.mark.parametrize("masks", [None, torch.full((2, 4, 4), 255, dtype=torch.uint8)])
def test_a_batch_without_labels_costs_nothing_and_keeps_the_graph(
    masks: Tensor | None, smooth: float, over: str
) -> None:
    logits = torch.randn(2, 3, 4, 4).requires_grad_()
    loss = dice(logits, masks, smooth=smooth, over=over)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and not logits.grad.any()


@pytest.mark.parametrize("over", ["batch", "image"])
def test_its_gradient_is_the_numerical_one(over: str) -> None:
    logits, masks = _case(torch.float64)
    assert torch.autograd.gradcheck(lambda x: dice(x, masks, over=over), (logits.requires_grad_(),))


def test_large_half_precision_batches_do_not_overflow() -> None:
    """A class of 90,000 pixels is more than float16 can count."""
    masks = torch.zeros(2, 300, 300, dtype=torch.uint8)
    logits = torch.zeros(2, 3, 300, 300, dtype=torch.float16)
    loss = dice(logits, masks)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, dice(logits.float(), masks))
    assert loss.isfinite()
