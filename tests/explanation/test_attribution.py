"""Every kind of heat map behind one call, against captum and against networks whose answers are known by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from toy_model import marker
from toy_networks import FRAMES, frozen, noise
from triplenet import catalog, networks
from triplenet.errors import BadInput, MissingExtra, UnknownName
from triplenet.explanation import MAPS, explain, heat_maps
from triplenet.explanation.attribution import own_maximum
from triplenet.explanation.cam_family import (
    Deep,
    class_score,
    deep_features,
    eigen_cam,
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
)
from triplenet.explanation.perturbation import integrated_gradients, occlusion, score_cam
from triplenet.model import Model, save_model
from triplenet.networks.base import GradCamNetwork
from triplenet.networks.gradcam import grad_cam as own_grad_cam
from triplenet.networks.heat import log_odds, upsample_to_image

captum_attr = pytest.importorskip("captum.attr", reason="needs the extra `explain`")

SIZE, CROP = 40, 32
every_kind = pytest.mark.parametrize("name", MAPS)
OF_A_CLASS = [name for name, kind in MAPS.items() if kind.depends_on_class]


class Patches(GradCamNetwork):
    """Two features of 4 x 4 pixels: how bright a patch is, and that it is there. Brightness speaks for class 1.

    (B, 1, H, W), or (B, 1, T, H, W) with patches of one slice.
    """

    smallest = 4

    def __init__(self, dimensions: int = 2) -> None:
        super().__init__(2)
        self.dimensions = dimensions  # type: ignore[misc]
        self.strides = [4.0, 4.0] if dimensions == 2 else [1.0, 4.0, 4.0]
        self.first = [1.5, 1.5] if dimensions == 2 else [0.0, 1.5, 1.5]
        self.fc = nn.Linear(2, 2)
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[0.0, 0.3], [20.0, 0.0]]))
            self.fc.bias.copy_(torch.tensor([0.0, 0.25]))

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        window = (4, 4) if self.dimensions == 2 else (1, 4, 4)
        pooling = nn.functional.avg_pool2d if self.dimensions == 2 else nn.functional.avg_pool3d
        bright = pooling(images.clamp_min(0), window)
        return (torch.cat([bright, torch.ones_like(bright)], 1),)

    def classify(self, deep: Tensor) -> Tensor:
        logits: Tensor = self.fc(deep.flatten(2).mean(2))
        return logits


def patches(dimensions: int = 2) -> Model:
    card = marker(size=SIZE, crop=CROP, frames=3 if dimensions == 3 else 0, method="baseline").card
    return Model(card, Patches(dimensions).eval(), torch.full((SIZE, SIZE), 0.25))


def with_square(dimensions: int = 2) -> np.ndarray:
    """A bright square on the patch in row 2, column 5 of the crop; of a volume in the slice in the middle."""
    image = np.full((SIZE, SIZE), 64, np.uint8)  # about the mean image
    bright = image.copy()
    bright[4 + 8 : 4 + 12, 4 + 20 : 4 + 24] = 220
    return bright if dimensions == 2 else np.stack([image, bright, image])


@pytest.mark.parametrize("dimensions", [2, 3])
@every_kind
def test_the_square_that_alone_decides_is_where_every_map_is_hottest(name: str, dimensions: int) -> None:
    image = with_square(dimensions)
    heat = explain(patches(dimensions), image, name, "positive")
    assert heat.shape == image.shape and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() <= 1
    inside = np.zeros(image.shape, bool)
    inside[..., 12:16, 24:28] = image[..., 12:16, 24:28] > 100
    hottest = (heat >= heat.max() - 1e-6) & (heat > 0)
    if name == "eigen-cam":
        return  # what the features have in common is not what decides
    assert hottest.any() and not (hottest & ~inside).any() if name != "occlusion" else hottest[inside].any()
    rim = np.ones((SIZE, SIZE), bool)
    rim[4:36, 4:36] = False
    assert not heat[..., rim].any()


@pytest.mark.parametrize("name", OF_A_CLASS)
def test_a_map_of_a_class_is_another_one_for_the_other_class(name: str) -> None:
    model, image = patches(), with_square()
    positive = explain(model, image, name, 1)
    assert np.array_equal(explain(model, image, name), positive)  # the predicted one
    negative = explain(model, image, name, "negative")
    assert not np.array_equal(negative, positive)
    square, elsewhere = (slice(12, 16), slice(24, 28)), (slice(4, 8), slice(4, 8))
    assert positive[square].min() > positive[elsewhere].max()
    assert negative[square].max() <= negative[elsewhere].min()  # there it speaks against the class


@every_kind
def test_the_scale_is_the_one_that_is_said(name: str) -> None:
    """A fainter square has less heat on the absolute scale, and as much where each image is its own measure."""
    model, image = patches(), with_square()
    fainter = np.where(image > 100, 100, image).astype(np.uint8)
    strong, weak = explain(model, image, name, 1), explain(model, fainter, name, 1)
    if MAPS[name].scale == "own maximum":
        assert strong.max() == weak.max() == 1
    else:
        assert 0 < weak.max() < strong.max() < 1


@every_kind
def test_where_nothing_speaks_for_a_class_the_map_is_dark_and_finite(name: str) -> None:
    model = patches()
    with torch.no_grad():
        model.network.fc.weight.zero_()
    heat = explain(model, with_square(), name, 1)
    assert np.isfinite(heat).all()
    assert not heat.any() or name == "eigen-cam"


@every_kind
@pytest.mark.parametrize("method", ["triple", "abn", "wsdl", "covnet", "resnet3d"])
def test_every_kind_is_of_every_method(name: str, method: str) -> None:
    """And changes neither the network, nor its mode, nor what a pass costs afterwards."""
    if name in ("score-cam", "occlusion") and method != "triple":
        return  # hundreds of passes
    model = _model(method)
    network = model.network
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.train()
    image = np.random.default_rng(0).integers(0, 256, (*(FRAMES,) * bool(model.card.frames), 64, 64)).astype(np.uint8)
    heat = explain(model, image, name, 0, batch=128)
    assert heat.shape == image.shape and np.isfinite(heat).all() and heat.min() >= 0 and heat.max() <= 1
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())
    network.eval()


def _model(method: str) -> Model:
    frames = FRAMES if catalog.method(method).dimensions == 3 else 0
    card = marker(size=64, crop=64, frames=frames, method=method).card
    network = networks.build(method)
    network.load_state_dict(frozen(method).state_dict())
    return Model(card, network.eval(), torch.full((64, 64), 0.5))


# --- against others -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["baseline", "double", "mtdl", "resnet3d", "decovnet"])
def test_grad_cam_is_captums(method: str) -> None:
    network, images = frozen(method), noise(method)
    target = torch.tensor([1, 0])
    layer = network.get_submodule("encoder" if method == "decovnet" else "encoder.layer4")
    with torch.enable_grad():
        live = images.clone().requires_grad_()
        wanted = captum_attr.LayerGradCam(lambda x: log_odds(network(x).logits), layer).attribute(live, target)
    found = grad_cam(deep_features(network, images, target))
    torch.testing.assert_close(found, wanted[:, 0].detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["covnet", "double"])
def test_grad_cam_by_name_is_the_one_that_the_method_comes_with(method: str) -> None:
    model = _model(method)
    image = (
        np.random.default_rng(0).integers(0, 256, (1, *(FRAMES,) * bool(model.card.frames), 64, 64)).astype(np.uint8)
    )
    np.testing.assert_allclose(explain(model, image, "grad-cam"), heat_maps(model, image), atol=1e-5)
    assert np.array_equal(explain(model, image, "own"), explain(model, image, "class"))


def test_the_gradient_is_that_of_the_deciding_part_attention_and_all() -> None:
    """Of Triple Net the deepest features decide through the decoder too: captum's hook in the whole network says so."""
    network, images = frozen("triple"), noise("triple")
    target = torch.tensor([1, 0])
    with torch.enable_grad():
        layer = captum_attr.LayerGradientXActivation(
            lambda x: log_odds(network(x).logits), network.get_submodule("encoder.layer4")
        )
        wanted = layer.attribute(images.clone().requires_grad_(), target).sum(1)
    torch.testing.assert_close(hires_cam(deep_features(network, images, target)), wanted.detach(), rtol=1e-4, atol=1e-6)


def test_integrated_gradients_add_up_to_what_the_image_changes() -> None:
    network, images = frozen("baseline"), noise("baseline")
    target = torch.tensor([1, 0])
    found = integrated_gradients(network, images, target)
    with torch.no_grad():
        difference = class_score(network(images).logits, target) - class_score(network(images * 0).logits, target)
    assert found.shape == images[:, 0].shape
    torch.testing.assert_close(found.sum((1, 2)), difference, rtol=0.05, atol=0.01)
    assert (found < 0).any()


def test_of_a_linear_network_integrated_gradients_are_its_weights_times_the_input() -> None:
    model, image = patches(), with_square()
    inputs = model.normalise(image[None])
    found = integrated_gradients(model.network, inputs, torch.tensor([1]))
    # 20 for class 1, over 8 x 8 patches of 16 pixels; what is darker than the mean image counts for nothing.
    torch.testing.assert_close(found, inputs[:, 0].clamp_min(0) * 20 / 64 / 16, rtol=1e-4, atol=1e-7)


# --- by hand --------------------------------------------------------------------------------------

FEATURES = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]], [[3.0, 0.0], [1.0, 0.0]]]])
GRADIENT = torch.tensor([[[[0.5, 0.5], [0.5, -1.0]], [[-0.25, 1.0], [0.5, 0.75]]]])
DEEP = Deep(FEATURES, GRADIENT, torch.tensor([0]))


def test_each_map_of_the_family_is_what_its_paper_says() -> None:
    # Means of the gradients: 0.125 and 0.5.
    torch.testing.assert_close(grad_cam(DEEP), torch.tensor([[[1.625, 0.25], [0.5, 0.5]]]))
    torch.testing.assert_close(hires_cam(DEEP), torch.tensor([[[0.5 - 0.75, 1.0], [0.5, -4.0]]]))
    torch.testing.assert_close(layer_cam(DEEP), torch.tensor([[[0.5, 1.0], [0.5, 0.0]]]))


def test_grad_cam_plus_plus_weighs_each_gradient_by_its_share() -> None:
    """The loops of Eqs. 10 and 19, written out; a gradient of 0 has no share."""
    gradient = GRADIENT.clone()
    gradient[0, 0, 1, 0] = 0
    weights = []
    for channel in range(2):
        total = float(FEATURES[0, channel].sum())
        weights.append(
            sum(g**2 / (2 * g**2 + total * g**3) * max(g, 0) for g in gradient[0, channel].flatten().tolist() if g)
        )
    wanted = weights[0] * FEATURES[:, 0] + weights[1] * FEATURES[:, 1]
    torch.testing.assert_close(grad_cam_plus_plus(Deep(FEATURES, gradient, torch.tensor([0]))), wanted)


def test_eigen_cam_finds_the_one_axis_of_features_that_have_one() -> None:
    pattern = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    features = torch.stack([3 * pattern, 4 * pattern])[None]  # of length 5 along (3, 4)
    torch.testing.assert_close(eigen_cam(Deep(features, features, torch.tensor([0]))), 5 * pattern[None])
    torch.testing.assert_close(eigen_cam(Deep(-features, features, torch.tensor([0]))), 5 * pattern[None])


def test_of_a_linear_network_hirescam_adds_up_to_the_odds() -> None:
    model = patches()
    inputs = model.normalise(with_square()[None])
    target = torch.tensor([1])
    with torch.no_grad():
        score = class_score(model.network(inputs).logits, target)
    found = hires_cam(deep_features(model.network, inputs, target))
    torch.testing.assert_close(found.sum((1, 2)), score - (0.25 - 0))  # without the difference of the biases
    # The mean over 64 cells: the bright patch counts for its brightness, 220 / 255 - 0.25, 20 times over 64.
    assert found[0, 2, 5] == pytest.approx((220 / 255 - 0.25) * 20 / 64 - 0.3 / 64, rel=1e-5)


def test_of_slices_that_are_read_one_by_one_each_has_its_own_weights() -> None:
    network, images = frozen("covnet"), noise("covnet")
    target = torch.tensor([1, 0])
    slices = network.encode(images)[0]
    wanted = own_grad_cam(slices, lambda leaf: log_odds(network.decide((leaf,), images.shape[2:]).logits), target).view(
        2, FRAMES, *slices.shape[2:]
    )
    deep = deep_features(network, images, target)
    assert deep.by_slice and deep.features.shape == (2, 512, FRAMES, 2, 2)
    torch.testing.assert_close(grad_cam(deep), wanted)


def test_occlusion_is_what_the_odds_lose_under_a_window() -> None:
    """A window of 4 pixels in steps of 2 that covers the whole patch takes all of it, others a half or a quarter."""
    model = patches()
    inputs = model.normalise(with_square()[None])
    found = occlusion(model.network, inputs, torch.tensor([1]))[0]
    whole = (220 / 255 - 0.25) * 20 / 64
    # A pixel inside is covered by windows at its own and the next offset along each axis: 1, 1/2 of it, and a quarter.
    assert found[8, 20] == pytest.approx(whole * (1 + 0.5 + 0.5 + 0.25) / 4, rel=0.02)
    assert found[0, 0] == pytest.approx(0, abs=0.01)


def test_score_cam_weighs_a_channel_by_the_confidence_that_it_alone_brings() -> None:
    model = patches()
    inputs = model.normalise(with_square()[None])
    target = torch.tensor([1])

    def draw(cells: Tensor) -> Tensor:
        return upsample_to_image(cells, (CROP, CROP), *model.network.deepest_cells())

    found = score_cam(model.network, inputs, target, draw, batch=1)
    with torch.no_grad():
        bright, _ = model.network.encode(inputs)[0][0]
        mask = draw(bright[None])
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        alone, nothing = (model.network(each).logits.softmax(1)[0, 1] for each in (inputs * mask[:, None], inputs * 0))
    # The other feature is the same everywhere: it shows nothing.
    torch.testing.assert_close(found[0], (alone - nothing) * bright)


def test_a_map_is_divided_by_its_own_maximum_and_one_of_zeros_is_not() -> None:
    maps = torch.tensor([[-1.0, 2.0, 4.0], [0.0, 0.0, 0.0], [-3.0, -2.0, -1.0]])
    assert torch.equal(own_maximum(maps), torch.tensor([[0, 0.5, 1], [0, 0, 0], [0, 0, 0]]))
    assert own_maximum(torch.tensor([[torch.nan, 1.0]])).isnan().any()


# --- the call -------------------------------------------------------------------------------------


def test_several_images_are_what_each_is_and_a_file_is_a_model(tmp_path) -> None:
    model = _model("double")
    save_model(tmp_path / "model.safetensors", model.network, model.mean_image, model.card)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64)).astype(np.uint8)
    together = explain(tmp_path / "model.safetensors", images, "layer-cam", batch=2)
    for image, heat in zip(images, together, strict=True):
        np.testing.assert_allclose(explain(model, image, "layer-cam"), heat, atol=1e-5)
    with torch.inference_mode():
        np.testing.assert_allclose(explain(model, images, "layer-cam"), together, atol=1e-5)


def test_what_cannot_be_is_refused(monkeypatch) -> None:
    model, image = patches(), with_square()
    with pytest.raises(UnknownName, match="did you mean 'hirescam'"):
        explain(model, image, "hires-cam")
    for target in ("spot", 2, -1):
        with pytest.raises(UnknownName, match="0 negative, 1 positive"):
            explain(model, image, "own", target)
    for wrong in (image / 255, image[:20], image[None, None]):
        with pytest.raises(BadInput, match="uint8"):
            explain(model, wrong)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    for name in ("occlusion", "integrated-gradients"):
        with pytest.raises(MissingExtra) as error:
            explain(model, image, name)
        assert error.value.do == "pip install 'triplenet[explain]'" and MAPS[name].needs == "captum"
    assert explain(model, image, "score-cam").any()  # needs no captum


def test_a_network_that_reads_the_lung_gets_it() -> None:
    network = networks.build("covnet", lung_mask=True).eval()
    card = marker(size=64, crop=64, frames=3, method="covnet").card
    model = Model(card, network, torch.full((64, 64), 0.5))
    image = np.random.default_rng(0).integers(0, 256, (3, 64, 64)).astype(np.uint8)
    with pytest.raises(BadInput, match="lung"):
        explain(model, image)
    left = np.zeros_like(image)
    left[..., :32] = 1
    for name in ("hirescam", "integrated-gradients"):
        heat = explain(model, image, name, 1, lungs=left)
        assert not np.array_equal(heat, explain(model, image, name, 1, lungs=1 - left))
    assert not heat[..., 32:].any() and heat.any()  # what the mask hides has no gradient
