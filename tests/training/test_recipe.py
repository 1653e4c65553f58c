import re
import subprocess
import sys
import tomllib
from importlib import resources
from types import SimpleNamespace

import pytest

from triplenet.errors import BadRecipe, PathMissing, UnknownName
from triplenet.losses.loss_options import LossOptions
from triplenet.training import load_recipe
from triplenet.training.recipe import PRESETS, Recipe, differences

SET = SimpleNamespace(size=256, frames=64, frame_size=112)


@pytest.mark.parametrize(("size", "crop"), [(256, 224), (64, 56), (128, 112), (512, 448)])
def test_the_crop_follows_the_images_in_the_papers_ratio(size, crop):
    info = SimpleNamespace(size=size, frames=0, frame_size=0)
    assert load_recipe("default", method="triple").for_images(info).augmentation.crop == crop
    asked = load_recipe("default", method="triple", settings=["augmentation.crop=40"])
    assert asked.for_images(info).augmentation.crop == 40


def test_frames_are_read_whole():
    assert load_recipe("default", method="covnet").for_images(SET).augmentation.crop == 112


def test_the_default_is_the_papers_protocol():
    recipe = load_recipe("default", method="triple")
    training, augmentation = recipe.training, recipe.augmentation
    assert (training.epochs, training.batch, training.learning_rate, training.seed) == (1000, 32, 1e-3, 0)
    assert (training.optimiser, training.schedule, training.weight_decay) == ("adam", "none", 0)
    assert augmentation.rotation_degrees == 90
    assert recipe.for_images(SET).augmentation.crop == 224
    assert recipe.encoder.weights == "imagenet"
    assert (training.keep, recipe.evaluation.crop) == ("best", "centre")


def test_the_default_file_says_what_the_code_does():
    assert load_recipe("default", method="triple").model_copy(update={"network": {}}) == Recipe(method="triple")


def test_the_default_file_writes_every_key():
    text = resources.files("triplenet.training").joinpath("recipes", "default.toml").read_text()
    written = {
        f"{section}.{key}"
        for section, keys in flat_sections(tomllib.loads(re.sub("(?m)^# (?=class_weights)", "", text)))
        for key in keys
    }
    recipe = load_recipe("default", method="triple").model_dump()
    expected = {f"{section}.{key}" for section, keys in flat_sections(recipe) for key in keys}
    expected = {key for key in expected if not key.startswith((".method", "network."))}
    assert written == expected


def flat_sections(values, prefix=""):
    yield prefix, [key for key, value in values.items() if not isinstance(value, dict)]
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat_sections(value, f"{prefix}.{key}" if prefix else key)


def test_paper_is_to_the_letter():
    recipe = load_recipe("paper", method="triple")
    assert recipe.loss.reduction == "sum"
    assert recipe.loss.dice.factor == 1
    assert recipe.loss.contrastive.denominator == "negatives"
    assert recipe.loss.curriculum == "linear"
    assert (recipe.training.epochs, recipe.training.batch) == (1000, 32)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_and_survives_its_dump(preset):
    recipe = load_recipe(preset, method="double")
    assert Recipe.of_dump(recipe.dump()) == recipe


def test_a_file_and_settings_override_the_preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "paper"\nmethod = "double"\n[training]\nepochs = 7\nbatch = 5\n')
    recipe = load_recipe(path, settings=["training.batch=6", "loss.weights.contrastive=0.5"])
    assert recipe.method == "double"
    assert (recipe.training.epochs, recipe.training.batch) == (7, 6)
    assert recipe.loss.reduction == "sum"
    assert recipe.loss.weights.contrastive == 0.5
    assert load_recipe(path, method="baseline").method == "baseline"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("training.keep=last", "last"),
        ('training.keep="last"', "last"),
        ("training.keep = 'last'", "last"),
    ],
)
def test_text_needs_no_quotes(setting, value):
    assert load_recipe(method="baseline", settings=[setting]).training.keep == value


def test_lists_and_booleans_are_toml():
    recipe = load_recipe(
        method="baseline",
        settings=["augmentation.scale=[0.9, 1.1]", "training.drop_last=false", "loss.class_weights=[1, 2.5]"],
    )
    assert recipe.augmentation.scale == (0.9, 1.1)
    assert recipe.training.drop_last is False
    assert recipe.loss.class_weights == (1, 2.5)


@pytest.mark.parametrize(
    ("setting", "near"),
    [
        ("training.epoch=3", "training.epochs"),
        ("epochs=3", "training.epochs"),
        ("trainning.epochs=3", "training"),
        ("loss.temperature=1", "loss.contrastive.temperature"),
        ("augmentation.rotation=10", "augmentation.rotation_degrees"),
        ("network.detach=true", "network.detach_attention"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(setting, near):
    with pytest.raises(BadRecipe, match=f"did you mean '{re.escape(near)}'"):
        load_recipe(method="triple", settings=[setting])


@pytest.mark.parametrize(
    "setting",
    [
        "training.epochs=0",
        "training.epochs=ten",
        "training.epochs=1.5",
        "training.epochs=true",
        'training.epochs="10"',
        "training.batch=-1",
        "training.learning_rate=nan",
        "training.learning_rate=inf",
        "training.optimiser=lion",
        "training=3",
        "augmentation.flip=1.5",
        "augmentation.scale=[1.1, 0.9]",
        "augmentation.scale=[1.0]",
        "loss.dice.factor=3",
        "loss.weights.segmentation=-1",
        "network.attention_resize=cubic",
        "network=3",
        "training.epochs",
        "=3",
        "training..epochs=3",
        "training.epochs=3\n[evaluation]",
    ],
)
def test_an_impossible_setting_is_refused_in_one_line(setting):
    with pytest.raises(BadRecipe) as caught:
        load_recipe(method="triple", settings=[setting])
    assert "\n" not in str(caught.value)


def test_files_that_are_no_recipe_are_refused(tmp_path):
    with pytest.raises(PathMissing):
        load_recipe(tmp_path / "absent.toml", method="triple")
    with pytest.raises(PathMissing, match="default, quick, paper"):
        load_recipe("papper", method="triple")
    (tmp_path / "broken.toml").write_text("[training\n")
    with pytest.raises(BadRecipe):
        load_recipe(tmp_path / "broken.toml", method="triple")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadRecipe):
        load_recipe(tmp_path / "bytes.toml", method="triple")
    (tmp_path / "preset.toml").write_text('preset = "fast"')
    with pytest.raises(BadRecipe):
        load_recipe(tmp_path / "preset.toml", method="triple")


def test_a_method_must_be_named_and_known():
    with pytest.raises(BadRecipe, match="no method"):
        load_recipe("default")
    with pytest.raises(UnknownName, match="triple"):
        load_recipe("default", method="tripple")


def test_the_methods_own_options_are_filled_in():
    assert load_recipe(method="triple").network["attention_resize"] == "area"
    with pytest.raises(BadRecipe):
        load_recipe(method="baseline", settings=["network.attention_resize=area"])


def test_differences_name_the_keys():
    one = load_recipe(method="triple").dump()
    two = load_recipe(method="triple", settings=["training.epochs=5", "loss.dice.factor=1"]).dump()
    assert list(differences(one, one)) == []
    assert list(differences(one, two)) == ["loss.dice.factor: 2, not 1", "training.epochs: 1000, not 5"]


def test_loss_options_of_others_are_taken_over_whole():
    names = set(LossOptions.model_fields)
    assert names <= set(load_recipe(method="triple").dump()["loss"])


def test_importing_the_package_does_not_import_torch():
    code = "import sys, triplenet.training; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_recipe_of_before_the_ablations_is_that_of_today():
    """A run that keeps such a recipe goes on."""
    today = load_recipe(method="triple")
    then = today.dump()
    del then["training"]["mask_share"], then["training"]["patients"], then["network"]["attention"]
    assert Recipe.of_dump(then) == today


def test_masks_that_must_be_whole_cannot_be_left_out():
    with pytest.raises(BadRecipe, match="mask_share leaves masks out"):
        load_recipe(method="triple", settings=["training.mask_share=0.5", "training.without_mask=refuse"])
    with pytest.raises(BadRecipe, match=r"training\.mask_share"):
        load_recipe(method="triple", settings=["training.mask_share=0"])
