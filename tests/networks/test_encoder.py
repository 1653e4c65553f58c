"""Encoders: torchvision's names and sizes, five maps, and where their cells look."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from triplenet import networks
from triplenet.errors import BadInput, BadRecipe, MissingExtra
from triplenet.networks.encoder import STRIDES, CuttableEncoder, Encoder
from triplenet.networks.encoders import make_encoder
from triplenet.networks.network_options import ENCODERS


def _encoder(name: str) -> Encoder:
    torch.manual_seed(0)
    return make_encoder(name).eval().requires_grad_(False)


# Parameters as torchvision's documentation gives them for the whole network, less its classifier's.
@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    [
        ("resnet18", 11_689_512 - 513_000, 120),
        ("resnet34", 21_797_672 - 513_000, 216),
        ("resnet50", 25_557_032 - 2_049_000, 318),
        ("vgg16_bn", 138_365_992 - 123_642_856, 91),
    ],
)
def test_an_encoder_has_torchvisions_parameters(name: str, parameters: int, tensors: int) -> None:
    with torch.device("meta"):
        encoder = make_encoder(name)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert len(encoder.state_dict()) == tensors


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("resnet18", {"conv1.weight": (64, 3, 7, 7), "layer2.0.downsample.0.weight": (128, 64, 1, 1)}),
        ("resnet34", {"layer3.5.bn2.running_var": (256,), "layer4.2.conv2.weight": (512, 512, 3, 3)}),
        ("resnet50", {"layer1.0.downsample.1.bias": (256,), "layer4.2.conv3.weight": (2048, 512, 1, 1)}),
        (
            "vgg16_bn",
            {"features.0.bias": (64,), "features.41.running_mean": (512,), "features.40.weight": (512, 512, 3, 3)},
        ),
    ],
)
def test_an_encoder_has_torchvisions_names(name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    with torch.device("meta"):
        state = make_encoder(name).state_dict()
    assert {key: tuple(state[key].shape) for key in shapes} == shapes


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", (64, 64, 128, 256, 512)),
        ("resnet34", (64, 64, 128, 256, 512)),
        ("resnet50", (64, 256, 512, 1024, 2048)),
        ("vgg16_bn", (64, 128, 256, 512, 512)),
    ],
)
def test_five_maps_of_halving_size(name: str, channels: tuple[int, ...]) -> None:
    with torch.device("meta"):
        encoder = make_encoder(name)
        maps = encoder(torch.zeros(2, 1, 224, 224))
    assert encoder.channels == channels
    sizes = (112, 56, 28, 14, 7)
    assert [tuple(map_.shape) for map_ in maps] == [
        (2, width, size, size) for width, size in zip(channels, sizes, strict=True)
    ]


def test_resnet50_strides_where_torchvisions_weights_were_trained_to() -> None:
    """On the 3x3 convolution (version 1.5), which changes neither sizes nor names."""
    encoder = make_encoder("resnet50")
    for number in (2, 3, 4):
        block = encoder.get_submodule(f"layer{number}.0")
        assert (block.conv1.stride, block.conv2.stride, block.conv3.stride) == ((1, 1), (2, 2), (1, 1))


def test_grey_is_copied_to_the_three_channels_of_imagenet() -> None:
    encoder = _encoder("resnet18")
    images = torch.rand(1, 1, 32, 32)
    assert torch.equal(encoder(images)[4], encoder(images.repeat(1, 3, 1, 1))[4])


@pytest.mark.parametrize("name", ENCODERS)
def test_each_cell_looks_where_the_encoder_says(name: str) -> None:
    """The gradient of an inner cell of each map with respect to the image is centred on its pixel."""
    encoder = _encoder(name)
    _make_averaging(encoder)
    images = torch.rand(1, 1, 160, 160, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for number, (stride, first) in enumerate(zip(STRIDES, encoder.first, strict=True)):
        cell = round((80 - first) / stride)
        (gradient,) = torch.autograd.grad(encoder(images)[number][0, :, cell, cell].sum(), images)
        weight = gradient[0, 0].abs()
        at = torch.arange(160.0)
        row, column = (weight.sum(1) @ at / weight.sum()).item(), (weight.sum(0) @ at / weight.sum()).item()
        # Max pools route by content, and so move the centre by a part of a cell; a wrong corner would be half of one.
        assert abs(row - (first + cell * stride)) < 0.3 * stride + 0.5
        assert abs(column - (first + cell * stride)) < 0.3 * stride + 0.5


@pytest.mark.parametrize("name", ENCODERS)
def test_the_unstrided_copy_of_the_last_stage_keeps_size_and_weights(name: str) -> None:
    encoder = _encoder(name)
    assert isinstance(encoder, CuttableEncoder)
    fourth = encoder.shallow(torch.rand(1, 1, 64, 64))[3]
    copy = encoder.unstrided_deep().eval()
    assert copy(fourth).shape == (1, encoder.channels[4], *fourth.shape[2:])
    weights = {tuple(value.shape) for value in copy.state_dict().values() if value.ndim == 4}
    assert (512, 512, 3, 3) in weights
    originals = list(encoder.state_dict().values())
    for value in copy.state_dict().values():
        assert any(value.shape == other.shape and torch.equal(value, other) for other in originals)


def test_an_unknown_trunk_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(BadRecipe, match="did you mean 'resnet18'"):
        networks.build("baseline", encoder="resnet81")


@pytest.mark.parametrize("name", ["baseline", "triple", "triple-wsdl", "wsdl", "mtdl", "abn"])
@pytest.mark.parametrize("encoder", ["resnet50", "vgg16_bn"])
def test_methods_take_other_encoders(name: str, encoder: str) -> None:
    network = networks.build(name, encoder=encoder).eval()
    images = torch.rand(1, 1, 50, 50)
    with torch.no_grad():
        assert network(images).logits.isfinite().all()
    assert network.explain(images).shape == (1, 50, 50)


class _FakeBody(nn.Module):
    """What timm's feature extractors look like from outside."""

    def __init__(self, reduction: tuple[int, ...], *, channels_last: bool = False, only: int | None = None) -> None:
        super().__init__()
        self.output_fmt = "NHWC" if channels_last else "NCHW"
        self.pretrained_cfg = {"fixed_input_size": only is not None, "input_size": (3, only, only)}
        steps = [reduction[0], *(2 for _ in reduction[1:])]
        self.layers = nn.ModuleList(nn.Conv2d(3 if n == 0 else 4, 4, 3, step, 1) for n, step in enumerate(steps))
        self.feature_info = SimpleNamespace(reduction=lambda: list(reduction), channels=lambda: [4] * len(reduction))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x.permute(0, 2, 3, 1) if self.output_fmt == "NHWC" else x)
        return maps


@pytest.fixture
def fake_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = {
        "some_net": _FakeBody((2, 4, 8, 16, 32)),
        "four_maps": _FakeBody((4, 8, 16, 32)),
        "channels_last": _FakeBody((4, 8, 16, 32), channels_last=True, only=64),
        "three_maps": _FakeBody((8, 16, 32)),
    }
    timm = ModuleType("timm")
    timm.is_model = lambda name: name in bodies

    def create_model(name: str, *, pretrained: bool, features_only: bool) -> nn.Module:
        assert features_only and not pretrained  # pretrained would go to the network
        return bodies[name]

    timm.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", timm)


@pytest.mark.usefixtures("fake_timm")
def test_any_timm_extractor_with_five_maps_is_a_trunk() -> None:
    network = networks.build("triple", encoder="timm:some_net").eval()
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        outputs = network(images)
    assert outputs.segmentation is not None and outputs.segmentation.shape == (2, 3, 64, 64)
    assert network.explain(images).shape == (2, 64, 64)


@pytest.mark.usefixtures("fake_timm")
@pytest.mark.parametrize("name", ["baseline", "wsdl", "mtdl", "double", "triple", "triple-wsdl"])
@pytest.mark.parametrize(("encoder", "size"), [("four_maps", 72), ("channels_last", 64)])
def test_a_timm_extractor_that_begins_with_stride_4_has_an_empty_first_map(name: str, encoder: str, size: int) -> None:
    """As ConvNeXt and Swin begin; the decoder's level of that size has nothing beside it."""
    network = networks.build(name, encoder=f"timm:{encoder}").train()
    images = torch.rand(2, 1, size, size)
    maps = network.encoder(images)
    assert [tuple(map_.shape[1:]) for map_ in maps[:2]] == [(0, size // 2, size // 2), (4, size // 4, size // 4)]
    outputs = network(images)
    assert outputs.logits.shape == (2, 2)
    if outputs.segmentation is not None:
        assert outputs.segmentation.shape == (2, 3, size, size)
        outputs.segmentation.square().sum().backward()
        assert all(value.grad is not None for value in network.encoder.parameters())
    assert network.eval().explain(images).shape == (2, size, size)


@pytest.mark.usefixtures("fake_timm")
def test_maps_with_their_channels_last_are_turned() -> None:
    encoder = networks.build("baseline", encoder="timm:channels_last").encoder
    images = torch.rand(1, 1, 64, 64)
    maps = encoder(images)
    for turned, own in zip(maps[1:], encoder.body(images.expand(-1, 3, -1, -1)), strict=True):
        assert torch.equal(turned, own.movedim(-1, 1))


@pytest.mark.usefixtures("fake_timm")
def test_images_of_a_size_that_an_extractor_does_not_read_are_refused() -> None:
    with pytest.raises(BadInput, match=r"timm:channels_last reads \(64, 64\) .* not \(72, 72\); set augmentation.crop"):
        networks.build("triple", encoder="timm:channels_last")(torch.rand(1, 1, 72, 72))


@pytest.mark.usefixtures("fake_timm")
def test_a_timm_extractor_without_the_five_maps_is_refused() -> None:
    with pytest.raises(BadRecipe, match=r"strides \(8, 16, 32\), not \(4, 8, 16, 32\) with or without 2"):
        networks.build("baseline", encoder="timm:three_maps")
    with pytest.raises(BadRecipe, match="no such model"):
        networks.build("baseline", encoder="timm:nothing")


@pytest.mark.usefixtures("fake_timm")
def test_abn_refuses_a_trunk_that_it_cannot_cut() -> None:
    with pytest.raises(BadRecipe, match="cut"):
        networks.build("abn", encoder="timm:some_net")


def test_a_timm_trunk_without_timm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtra, match="pip install timm"):
        networks.build("baseline", encoder="timm:resnet18")


def _make_averaging(module: nn.Module) -> None:
    """Every convolution a mean over its window, so that a cell's view is symmetric about its centre."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.constant_(part.weight, 1 / part.weight[0].numel())
