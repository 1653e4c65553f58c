import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from triplenet import networks
from triplenet.errors import BadInput, BadModel, OutputFailed, PathMissing
from triplenet.model import (
    CARD,
    EMBEDDING_MEAN,
    EMBEDDING_WHITENING,
    Embedding,
    EmbeddingFacts,
    Model,
    ModelCard,
    TaskCard,
    TrainingScans,
    check_model,
    load_model,
    normalise,
    read_card,
    save_model,
    tensors_sha256,
    verify_model,
)


def make_card(**changes):
    values = {
        "method": "decovnet",
        "classes": ("none", "spot"),
        "task": TaskCard(name="toy", title="", findings={"a": "none", "b": "spot"}, positive=("spot",)),
        "window_hu": (-1000, -500),
        "size": 40,
        "crop": 32,
        "dimensions": 3,
        "frames": 4,
        "recipe": {"training": {"epochs": 1}},
        "data_sha256": "0" * 64,
        "fold": 1,
        "versions": {"triplenet": "0"},
        "created": date(2022, 11, 24),
    }
    return ModelCard.model_validate(values | changes)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return networks.build("decovnet").eval()


@pytest.fixture
def path(tmp_path, network):
    path = tmp_path / "model.safetensors"
    save_model(path, network, torch.full((40, 40), 0.25), make_card())
    return path


def test_a_saved_model_gives_the_same_outputs_and_card(path, network):
    model = load_model(path)
    assert isinstance(model, Model)
    assert not model.network.training
    images = torch.rand(2, 1, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.network(images).logits, network(images).logits)
    assert torch.equal(model.mean_image, torch.full((40, 40), 0.25))
    assert model.card.model_copy(update={"tensors_sha256": None}) == make_card()
    assert model.card == read_card(path)


def test_loading_leaves_the_random_numbers_alone(path):
    before = torch.get_rng_state()
    load_model(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_model_is_the_same_bytes(path, network, tmp_path):
    save_model(tmp_path / "again.safetensors", network, torch.full((40, 40), 0.25), make_card())
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_the_card_is_read_without_torch(path):
    code = (
        "import sys; from triplenet.model import read_card; card = read_card(sys.argv[1]);"
        "assert 'torch' not in sys.modules; print(card.method, card.window_hu)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == "decovnet (-1000.0, -500.0)\n"


def test_a_truncated_file_is_refused(path):
    content = path.read_bytes()
    for size in (0, 4, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        for read in (read_card, load_model):
            with pytest.raises(BadModel):
                read(path)


def test_the_hash_of_tensors_is_of_their_names_shapes_and_values():
    one, other = np.arange(6, dtype=np.float32), np.arange(6, 12, dtype=np.float32)
    hashes = [
        tensors_sha256({"a": one, "b": other}),
        tensors_sha256({"a": other, "b": one}),
        tensors_sha256({"a": one, "c": other}),
        tensors_sha256({"a": one.reshape(2, 3), "b": other}),
        tensors_sha256({"a": one.astype(np.float64), "b": other}),
        tensors_sha256({"a": one, "b": other + 1}),
    ]
    assert len(set(hashes)) == len(hashes)
    assert tensors_sha256({"b": other, "a": one}) == hashes[0]


def test_a_changed_weight_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadModel, match="not the ones that were written"):
        load_model(path)


def test_foreign_files_are_refused(tmp_path):
    save_file({"fc.weight": np.zeros((2, 2), np.float32)}, tmp_path / "weights.safetensors")
    with pytest.raises(BadModel, match="no model card"):
        read_card(tmp_path / "weights.safetensors")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 500)
    with pytest.raises(BadModel):
        read_card(tmp_path / "picture.png")
    with pytest.raises(PathMissing):
        read_card(tmp_path / "absent.safetensors")


def rewritten(path: Path, change):
    """The file with its card changed as a careless or newer program would."""
    values = json.loads(read_card(path).model_dump_json())
    tensors = load_file(path)
    change(values, tensors)
    save_file(tensors, path, {CARD: json.dumps(values)})
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda card, tensors: card.update(version=2), "version"),
        (lambda card, tensors: card.update(colour="blue"), "colour"),
        (lambda card, tensors: card.update(crop=41), "crop 41 is larger than size 40"),
        (lambda card, tensors: card.update(window_hu=[-500, -1000]), "is no window"),
        (lambda card, tensors: card.update(method="quadruple", tensors_sha256=None), "quadruple"),
        (lambda card, tensors: card.update(network={"colour": 1}), "colour"),
        (lambda card, tensors: card.update(classes=["none", "spot", "more"]), "decovnet"),
        (lambda card, tensors: card.update(size=50), r"mean_image is \(40, 40\), not \(50, 50\)"),
        (lambda card, tensors: card.update(window_hu=[-1e308, 1e308]), "window_hu"),
        (lambda card, tensors: card.update(window_hu=[0, 1e-300]), "window_hu"),
        (lambda card, tensors: card.update(size=10**8), "size 100000000"),
        (lambda card, tensors: card.update(crop=1), "crop 1 is less"),
        (lambda card, tensors: card.update(frames=10**8), "frames 100000000"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(path, change, says):
    with pytest.raises(BadModel, match=says):
        load_model(rewritten(path, change))


def test_nothing_is_left_when_writing_fails(tmp_path, network):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed):
        save_model(tmp_path / "file" / "model.safetensors", network, torch.zeros(40, 40), make_card())
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_normalising_is_grey_minus_mean_in_the_middle():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (2, 10, 10), dtype=np.uint8)
    mean = generator.random((10, 10)).astype(np.float32)
    got = normalise(images, torch.from_numpy(mean), 6)
    assert got.shape == (2, 1, 6, 6)
    for b in range(2):
        for y in range(6):
            for x in range(6):
                expected = images[b, y + 2, x + 2] / 255 - mean[y + 2, x + 2]
                assert got[b, 0, y, x] == pytest.approx(expected, abs=1e-6)


def test_normalising_frames_treats_each_as_an_image():
    images = torch.randint(0, 256, (2, 3, 10, 10), dtype=torch.uint8)
    mean = torch.rand(10, 10)
    got = normalise(images, mean, 6)
    assert got.shape == (2, 1, 3, 6, 6)
    for frame in range(3):
        assert torch.equal(got[:, :, frame], normalise(images[:, frame], mean, 6))


def test_images_of_another_kind_are_refused():
    mean = torch.zeros(10, 10)
    for images in (torch.zeros(2, 10, 10), torch.zeros(2, 9, 10).byte(), torch.zeros(10, 10).byte()):
        with pytest.raises(BadInput):
            normalise(images, mean, 6)


def put(key, value):
    def change(tensors):
        name = next(name for name in tensors if key in name)
        tensors[name] = tensors[name].copy() if hasattr(tensors[name], "copy") else tensors[name].clone()
        tensors[name].reshape(-1)[0] = value

    return change


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("encoder.0.weight", np.nan, "not finite"),
        ("encoder.0.weight", np.inf, "not finite"),
        ("encoder.0.weight", 1e30, r"1e\+30"),
        ("running_var", -1.0, "variance -1"),
        ("mean_image", 1e30, r"1e\+30"),
        ("mean_image", 1.5, "not 0 to 1"),
        ("mean_image", np.nan, "not finite"),
    ],
)
def test_values_that_no_training_gives_are_refused_by_their_tensors_name(path, key, value, says):
    def change(card, tensors):
        put(key, value)(tensors)
        card["tensors_sha256"] = None

    rewritten(path, change)
    for read in (load_model, verify_model):
        with pytest.raises(BadModel, match=f"impossible values: .*{says}"):
            read(path)


def test_tensors_are_compared_with_the_network_before_it_is_built(path):
    def change(card, tensors):
        card["network"] = {"grids": [[2, 4, 4], [1, 2, 2], [1, 1, 1]]}
        name = next(name for name in tensors if name.endswith("encoder.0.weight"))
        tensors[name] = tensors[name][:8]
        card["tensors_sha256"] = None

    with pytest.raises(BadModel, match=r"encoder\.0\.weight is \(8, "):
        load_model(rewritten(path, change))


# --- what it was trained on -----------------------------------------------------------------------

FACTS = EmbeddingFacts(quantile=0.99, limit=9.5, patients=12, of="validation")
SCANS = TrainingScans(
    patients=30, slice_mm=(0.8, 1.5), kernels={"LUNG": 20, "B40f": 3}, contrast={"no": 30}, embedding=FACTS
)


def made_embedding(width=32):
    return Embedding(torch.linspace(-1, 1, width), torch.eye(width) * 2)


@pytest.fixture
def told(tmp_path, network):
    """A model file with everything that a training can write."""
    path = tmp_path / "told.safetensors"
    card = make_card(training_scans=SCANS, temperature=1.5)
    save_model(path, network, torch.full((40, 40), 0.25), card, made_embedding())
    return path


def test_a_model_file_gives_back_what_it_was_trained_on(told):
    model = load_model(told)
    assert model.card == read_card(told) == verify_model(told)
    assert (model.card.training_scans, model.card.temperature) == (SCANS, 1.5)
    assert list(read_card(told).training_scans.kernels) == ["LUNG", "B40f"]
    assert torch.equal(model.embedding.mean, made_embedding().mean)
    assert torch.equal(model.embedding.whitening, made_embedding().whitening)
    features = made_embedding().mean.repeat(2, 1)
    features[1, :2] += torch.tensor([3.0, 4.0])
    assert model.embedding.distances(features).tolist() == pytest.approx([0, 10])


def test_a_file_of_an_earlier_version_has_none_of_it(path):
    """Its card does not even have the keys."""
    rewritten(path, lambda card, tensors: (card.pop("training_scans"), card.pop("temperature")))
    model = load_model(path)
    assert (model.embedding, model.card.training_scans, model.card.temperature) == (None, None, None)


def without(name):
    return lambda card, tensors: tensors.pop(name)


def reshaped(name, *shape):
    return lambda card, tensors: tensors.update({name: np.zeros(shape, np.float32)})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without(EMBEDDING_MEAN), "embedding_mean is missing"),
        (without(EMBEDDING_WHITENING), "embedding_whitening is missing"),
        (lambda card, tensors: card["training_scans"].update(embedding=None), "embedding_mean is there and the card"),
        (lambda card, tensors: card.update(training_scans=None), "embedding_mean is there and the card"),
        (reshaped(EMBEDDING_WHITENING, 31, 32), r"embedding_whitening is \(31, 32\), not \(32, 32\)"),
        (reshaped(EMBEDDING_WHITENING, 32), "embedding_whitening is"),
        (reshaped(EMBEDDING_MEAN, 1, 32), r"embedding_mean is \(1, 32\), not \(1,\)"),
        (reshaped(EMBEDDING_MEAN), "not 1 to 4096 features"),
        (reshaped(EMBEDDING_MEAN, 5000), "not 1 to 4096 features"),
        (lambda card, tensors: tensors.update({EMBEDDING_MEAN: np.zeros(32)}), "of the type F64, not F32"),
    ],
)
def test_an_embedding_that_is_not_whole_is_refused_without_torch_too(told, change, says):
    def damaged(card, tensors):
        card["tensors_sha256"] = None
        change(card, tensors)

    rewritten(told, damaged)
    for read in (check_model, load_model):
        with pytest.raises(BadModel, match=says):
            read(told)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("name", [EMBEDDING_MEAN, EMBEDDING_WHITENING])
def test_an_embedding_that_no_training_gives_is_refused(told, name, value):
    def damaged(card, tensors):
        card["tensors_sha256"] = None
        put(name, value)(tensors)

    rewritten(told, damaged)
    with pytest.raises(BadModel, match=f"impossible values: {name}"):
        load_model(told)


def test_a_changed_embedding_is_noticed(told):
    rewritten(told, lambda card, tensors: put(EMBEDDING_MEAN, 0.5)(tensors))
    with pytest.raises(BadModel, match="not the ones that were written"):
        load_model(told)


def test_an_embedding_of_another_width_than_the_networks_features_is_refused(tmp_path, network):
    path = tmp_path / "model.safetensors"
    save_model(path, network, torch.zeros(40, 40), make_card(training_scans=SCANS), made_embedding(31))
    with pytest.raises(BadModel, match="is of 31 features, not 32"):
        load_model(path)


def test_a_card_and_an_embedding_of_two_trainings_are_not_written(tmp_path, network):
    for card, embedding in ((make_card(training_scans=SCANS), None), (make_card(), made_embedding())):
        with pytest.raises(BadModel, match="not of one training"):
            save_model(tmp_path / "model.safetensors", network, torch.zeros(40, 40), card, embedding)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"temperature": 0.04}, "temperature"),
        ({"temperature": 21}, "temperature"),
        ({"slice_mm": [2, 1]}, "slice_mm 2 to 1 is no range"),
        ({"pixel_mm": [0, 1]}, "pixel_mm"),
        ({"slice_thickness_mm": [1, 1e9]}, "slice_thickness_mm"),
        ({"patients": 0}, "patients"),
        ({"kernels": {f"B{number}": 1 for number in range(65)}}, "kernels"),
        ({"kernels": {"x" * 65: 1}}, "kernels"),
        ({"kernels": {"\x1b[2J": 1}}, "control characters"),
        ({"kernels": {" ": 1}}, "is empty"),
        ({"kernels": {"B40f": 0}}, "kernels"),
        ({"contrast": {"perhaps": 1}}, "contrast"),
        ({"embedding": {"quantile": 1.5, "limit": 1, "patients": 1, "of": "validation"}}, "quantile"),
        ({"embedding": {"quantile": 0.9, "limit": -1, "patients": 1, "of": "validation"}}, "limit"),
        ({"embedding": {"quantile": 0.9, "limit": 1, "patients": 1, "of": "test"}}, "of"),
        ({"name": "somebody"}, "name"),
    ],
)
def test_a_card_out_of_bounds_about_its_training_is_refused(told, change, says):
    def damaged(card, tensors):
        (card if "temperature" in change else card["training_scans"]).update(change)

    with pytest.raises(BadModel, match=says):
        read_card(rewritten(told, damaged))
