"""Pretrained weights: where they come from, and what is refused."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from toy_networks import fresh
from triplenet import networks
from triplenet.errors import BadWeights, NoEncoderWeights
from triplenet.networks.abn import Abn
from triplenet.networks.encoder_weights import initialise, read
from triplenet.networks.encoders import make_encoder
from triplenet.networks.resnet3d import ResNet3d


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """ResNet18's weights with a classifier, as torchvision's file has them."""
    torch.manual_seed(7)
    encoder = make_encoder("resnet18").state_dict()
    return {**encoder, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


@pytest.fixture(autouse=True)
def no_file_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIPLENET_ENCODER", raising=False)


def _same(network: nn.Module, state: dict[str, Tensor], prefix: str = "encoder.") -> bool:
    own = network.state_dict()
    return all(torch.equal(own[prefix + key], value) for key, value in state.items() if not key.startswith("fc."))


def test_from_a_safetensors_file(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "encoder.safetensors"
    save_file(state, path)
    network = fresh("triple")
    used = initialise(network, path)
    assert _same(network, state)
    assert used is not None and used.name == "encoder.safetensors"
    assert used.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_half_precision_becomes_single(tmp_path: Path, state: dict[str, Tensor]) -> None:
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file(half, tmp_path / "encoder.safetensors")
    network = fresh("baseline")
    initialise(network, tmp_path / "encoder.safetensors")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert _same(network, {key: value.to(state[key].dtype) for key, value in half.items()})


def test_from_torchvisions_kind_of_file_without_its_counters(tmp_path: Path, state: dict[str, Tensor]) -> None:
    plain = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(plain, tmp_path / "resnet18.pth")
    network = fresh("baseline")
    initialise(network, tmp_path / "resnet18.pth")
    assert _same(network, plain)


def test_from_the_file_that_the_environment_names(
    tmp_path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(state, tmp_path / "encoder.safetensors")
    monkeypatch.setenv("TRIPLENET_ENCODER", str(tmp_path / "encoder.safetensors"))
    network = fresh("covnet")
    assert initialise(network) is not None
    assert _same(network, state)


def test_every_copy_of_the_trunk_starts_from_the_weights(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "encoder.safetensors")
    network = fresh("abn")
    assert isinstance(network, Abn)
    initialise(network, tmp_path / "encoder.safetensors")
    last = {key.removeprefix("layer4."): value for key, value in state.items() if key.startswith("layer4.")}
    assert _same(network.attention.encoder_end, last, prefix="")
    assert _same(network, state)


def test_none_keeps_the_random_weights() -> None:
    network, untouched = fresh("baseline"), fresh("baseline")
    assert initialise(network, "none") is None
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), untouched.parameters(), strict=True))


@pytest.mark.parametrize("name", ["resnet3d", "decovnet"])
def test_methods_without_a_2d_trunk_start_from_random_weights(name: str) -> None:
    assert initialise(networks.build(name)) is None


def test_without_a_file_training_is_not_started_from_random_weights_silently() -> None:
    with pytest.raises(NoEncoderWeights, match=r"encoder\.weights = none"):
        initialise(fresh("baseline"))
    with pytest.raises(NoEncoderWeights, match=r"encoder\.weights = none"):
        initialise(fresh("baseline"), "nowhere.safetensors")


def test_a_file_for_another_trunk_is_refused_with_what_does_not_fit(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "encoder.safetensors")
    network = networks.build("baseline", encoder="resnet34")
    with pytest.raises(BadWeights, match=r"layer1\.2\.conv1\.weight is missing.*and \d+ more") as caught:
        initialise(network, tmp_path / "encoder.safetensors")
    assert "encoder.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("conv1.weight"), r"conv1\.weight is missing"),
        (
            lambda s: s.update({"conv1.weight": s["conv1.weight"][:, :1].clone()}),
            r"\(64, 1, 7, 7\), not \(64, 3, 7, 7\)",
        ),
        (lambda s: s.update(extra=torch.zeros(1)), "extra is not of this encoder"),
        (lambda s: s.update({"bn1.bias": torch.full((64,), torch.nan)}), r"bn1\.bias is not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, state: dict[str, Tensor], change, message) -> None:
    changed = dict(state)
    change(changed)
    save_file(changed, tmp_path / "encoder.safetensors")
    network, untouched = fresh("baseline"), fresh("baseline")
    with pytest.raises(BadWeights, match=message):
        initialise(network, tmp_path / "encoder.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), untouched.parameters(), strict=True))


@pytest.mark.parametrize("name", ["encoder.safetensors", "encoder.pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", bytes(1000)])
def test_a_file_that_is_no_weights_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadWeights, match="cannot be read"):
        initialise(fresh("baseline"), tmp_path / name)


class _Evil:
    """What a hostile file could hold: code that runs when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


def test_a_pth_file_cannot_run_code(tmp_path: Path) -> None:
    torch.save({"conv1.weight": _Evil(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(BadWeights):
        initialise(fresh("baseline"), tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_something_else_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "list.pth")
    with pytest.raises(BadWeights, match="does not hold tensors"):
        read(tmp_path / "list.pth")


@pytest.fixture
def served(tmp_path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place that stands for torchvision's, with the file under its hashed name, and an empty cache."""
    torch.save(state, tmp_path / "file.pth")
    digest = hashlib.sha256((tmp_path / "file.pth").read_bytes()).hexdigest()
    place = tmp_path / f"resnet18-{digest[:8]}.pth"
    (tmp_path / "file.pth").rename(place)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    return place


def test_a_download_must_be_allowed(served: Path) -> None:
    network = fresh("baseline")
    network.get_submodule("encoder").url = served.as_uri()
    with pytest.raises(NoEncoderWeights, match="download"):
        initialise(network)


def test_an_allowed_download_is_used_and_kept(served: Path, state: dict[str, Tensor]) -> None:
    network = fresh("baseline")
    network.get_submodule("encoder").url = served.as_uri()
    used = initialise(network, allow_download=True)
    assert used is not None and used.name == served.name
    assert _same(network, state)
    served.unlink()
    again = fresh("baseline")
    again.get_submodule("encoder").url = served.as_uri()
    assert initialise(again, allow_download=True) == used


def test_a_download_with_another_hash_is_refused_and_not_kept(served: Path, tmp_path: Path) -> None:
    served.write_bytes(served.read_bytes() + b"tampered")
    network = fresh("baseline")
    network.get_submodule("encoder").url = served.as_uri()
    with pytest.raises(NoEncoderWeights, match="hash"):
        initialise(network, allow_download=True)
    assert list((tmp_path / "cache").rglob("*.pth")) == []


def test_the_addresses_are_torchvisions() -> None:
    urls = {name: make_encoder(name).url for name in ("resnet18", "vgg16_bn")}
    assert urls == {
        "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "vgg16_bn": "https://download.pytorch.org/models/vgg16_bn-6c64b313.pth",
    }


def test_kinetics_weights_as_the_authors_save_them_start_the_3d_resnet(tmp_path: Path) -> None:
    network = fresh("resnet3d")
    assert isinstance(network, ResNet3d)
    rgb = {**network.encoder_state(), "conv1.weight": torch.randn(64, 3, 7, 7, 7), "fc.weight": torch.zeros(400, 512)}
    torch.save({"epoch": 200, "state_dict": {f"module.{key}": value for key, value in rgb.items()}}, tmp_path / "k.pth")
    initialise(network, tmp_path / "k.pth")
    grey = torch.randn(1, 1, 8, 8, 8)
    wanted = nn.functional.conv3d(grey.repeat(1, 3, 1, 1, 1), rgb["conv1.weight"])
    got = nn.functional.conv3d(grey, network.encoder.conv1.weight)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.real_data
def test_imagenet_weights_know_what_a_feature_is() -> None:
    """The development file fits; its maps differ between images as random ones would not."""
    folder = os.environ.get("TRIPLENET_REAL_DATA")
    if not folder:
        pytest.skip("TRIPLENET_REAL_DATA is not set")
    network = fresh("baseline").eval()
    assert initialise(network, Path(folder) / "weights" / "resnet18_imagenet_fp16.safetensors") is not None
    with torch.no_grad():
        features = network.features(torch.rand(2, 1, 64, 64) - 0.5)
    assert features.isfinite().all() and features.std() > 0
