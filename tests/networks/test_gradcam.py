"""Grad-CAM against an independent implementation, and the scale it is shown on."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from toy_networks import FRAMES, frozen, noise
from triplenet.networks.gradcam import grad_cam, grad_cam_heat
from triplenet.networks.heat import (
    PATCH,
    log_odds,
    patch_evidence,
    score_map_evidence,
    share_of_odds,
    upsample_to_image,
)

LAYERS = {
    "baseline": "encoder.layer4",
    "double": "encoder.layer4",
    "mtdl": "encoder.layer4",
    "resnet3d": "encoder.layer4",
    "decovnet": "encoder",
    "covnet": "encoder.layer4",
}
GEOMETRY = {
    "resnet3d": ((16, 32, 32), (0, 0, 0)),
    "decovnet": ((2, 8, 8), (0.5, 0, 0)),
    "covnet": ((1, 32, 32), (0, 0, 0)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_grad_cam_is_captums_on_the_absolute_scale(name: str) -> None:
    attr = pytest.importorskip("captum.attr")
    network, images = frozen(name), noise(name, batch=2)
    strides, first = GEOMETRY.get(name, ((32, 32), (0, 0)))
    cam = attr.LayerGradCam(lambda x: _odds(network(x).logits), network.get_submodule(LAYERS[name]))
    brightest = []
    for target in (0, 1):
        # Captum wants a graph through the layer, whose weights are frozen here.
        leaf = images.clone().requires_grad_()
        wanted = cam.attribute(leaf, target=target, relu_attributions=True).detach()[:, 0]
        if name == "covnet":  # whose layer sees slices
            wanted = wanted.view(2, FRAMES, *wanted.shape[1:])
        wanted = upsample_to_image(1 - torch.exp(-wanted * wanted[0].numel() / 16), images.shape[2:], strides, first)
        heat = network.explain(images, torch.full((2,), target))
        torch.testing.assert_close(heat, wanted, rtol=1e-4, atol=1e-6)
        brightest.append(heat.max())
    assert max(brightest) > 1e-4


def test_for_pooling_and_a_linear_layer_the_cells_add_up_to_the_score() -> None:
    generator = torch.Generator().manual_seed(0)
    features, weight = torch.rand(3, 8, 5, 4, generator=generator), torch.rand(2, 8, generator=generator)
    cam = grad_cam(features, lambda x: x.mean((2, 3)) @ weight.T + 7, torch.tensor([0, 1, 1]))
    wanted = (features.mean((2, 3)) @ weight.T)[[0, 1, 2], [0, 1, 1]]
    torch.testing.assert_close(cam.sum((1, 2)), wanted)


def test_works_on_half_precision_features_and_under_inference_mode() -> None:
    head = nn.Conv2d(4, 2, 1).bfloat16()
    with torch.inference_mode():
        features = torch.rand(2, 4, 3, 3).bfloat16()
        cam = grad_cam(features, lambda x: head(x).mean((2, 3)))
    assert cam.dtype == torch.float32 and cam.isfinite().all()


def test_leaves_no_gradient_on_the_weights() -> None:
    head = nn.Linear(4, 2)
    grad_cam(torch.rand(2, 4, 3, 3), lambda x: head(x.mean((2, 3))))
    assert head.weight.grad is None


@pytest.mark.parametrize("classes", [2, 4])
def test_log_odds_are_those_of_the_softmax(classes: int) -> None:
    scores = 3 * torch.randn(5, classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = scores.softmax(1)
    torch.testing.assert_close(log_odds(scores), (p / (1 - p)).log())
    torch.testing.assert_close(log_odds(scores + 100), log_odds(scores), rtol=0, atol=1e-4)


def test_the_scale_says_which_share_of_the_odds_goes_without_the_evidence() -> None:
    # Halving the odds takes evidence of log 2; a patch that quarters them carries 1 - 1/4.
    torch.testing.assert_close(
        share_of_odds(torch.tensor([math.log(2), math.log(4), 0, -3])), torch.tensor([0.5, 0.75, 0, 0])
    )


def test_a_sixteenth_of_the_image_like_this_cell_is_what_a_colour_speaks_about() -> None:
    assert PATCH == 1 / 16
    uniform = torch.full((1, 8, 8), 1 / 64)  # adds up to 1
    assert patch_evidence(uniform)[0, 0, 0] == pytest.approx(1 / 16)
    finer = torch.full((1, 16, 16), 1 / 256)
    assert patch_evidence(finer)[0, 0, 0] == pytest.approx(1 / 16)


def test_a_map_without_evidence_is_dark_and_noise_stays_dark() -> None:
    def classify(x: Tensor) -> Tensor:
        return x.mean((2, 3))

    assert not grad_cam_heat(torch.zeros(1, 2, 7, 7), classify).any()
    weak = 0.01 * torch.rand(1, 2, 7, 7, generator=torch.Generator().manual_seed(0))
    assert grad_cam_heat(weak, classify).max() < 0.01


def test_the_scale_is_the_same_in_every_image() -> None:
    """A brighter spot elsewhere in the image, or another image beside it, changes no other cell."""

    def classify(x: Tensor) -> Tensor:
        return x.mean((2, 3))

    features = torch.rand(1, 2, 7, 7, generator=torch.Generator().manual_seed(0))
    brighter = features.clone()
    brighter[0, :, 0, 0] *= 50
    target = torch.tensor([1])
    before, after = grad_cam_heat(features, classify, target), grad_cam_heat(brighter, classify, target)
    torch.testing.assert_close(after[0, 1:], before[0, 1:])


@pytest.mark.parametrize("classes", [2, 4])
def test_the_evidence_in_a_mean_is_what_the_odds_lose_without_that_sixteenth(classes: int) -> None:
    """Of sixteen cells each is a sixteenth: set to nothing, it takes its evidence along."""
    generator = torch.Generator().manual_seed(0)
    scores = 5 * torch.randn(3, classes, 4, 4, generator=generator, dtype=torch.float64)
    bias = torch.randn(3, classes, generator=generator, dtype=torch.float64)
    target = torch.tensor([1, 0, classes - 1])
    logits = scores.mean((2, 3)) + bias
    found = score_map_evidence(scores, logits, target)
    for row, column in ((0, 0), (2, 3)):
        without = scores.clone()
        without[:, :, row, column] = 0
        lost = log_odds(logits) - log_odds(without.mean((2, 3)) + bias)
        torch.testing.assert_close(found[:, row, column], lost[range(3), target])


def test_the_evidence_in_a_maximum_is_what_the_cell_would_decide() -> None:
    """Class 1 has 1 and 4, the others at most 3 and 2: 4 - log(exp 3 + exp 2), and 1 - the same."""
    scores = torch.tensor([[[[3.0, 0.0]], [[1.0, 4.0]], [[2.0, -1.0]]]])
    others = math.log(math.exp(3) + math.exp(2))
    found = score_map_evidence(scores, torch.tensor([[9.0, 9.0, 9.0]]), torch.tensor([1]), "max")
    torch.testing.assert_close(found, torch.tensor([[[1 - others, 4 - others]]]))


def _odds(logits: Tensor) -> Tensor:
    """Log-odds of two classes, written out."""
    return torch.stack([logits[:, 0] - logits[:, 1], logits[:, 1] - logits[:, 0]], 1)
