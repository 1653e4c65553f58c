"""Options are known before a network is built, and importing the package costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from triplenet import catalog, networks
from triplenet.errors import BadRecipe


@pytest.mark.parametrize("name", catalog.METHODS)
def test_every_method_says_what_can_be_chosen_and_refuses_the_rest(name: str) -> None:
    model = networks.options_model(name)
    defaults = model().model_dump(mode="json")
    assert model(**defaults) == model()
    with pytest.raises(ValidationError):
        model(**defaults, nonsense=1)


def test_the_alternatives_are_named_options() -> None:
    """docs/methods.md#decisions"""
    names = {name: set(networks.options_model(name).model_fields) for name in catalog.METHODS}
    assert {"encoder", "attention_resize", "detach_attention", "fuse"} <= names["triple"] <= names["triple-wsdl"]
    assert {"encoder", "pooling", "side_losses", "cam"} <= names["wsdl"]
    assert {"encoder", "map_kernel"} <= names["abn"]
    assert "shortcut" in names["resnet3d"] and "lung_mask" in names["covnet"] and "lung_mask" in names["decovnet"]


def test_importing_the_packages_does_not_import_torch() -> None:
    modules = "triplenet.networks, triplenet.losses, triplenet.networks.network_options"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_torch_building_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from triplenet import networks\n"
        "from triplenet.errors import MissingExtra\n"
        "try: networks.build('triple')\n"
        "except MissingExtra as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'triplenet[train]'" in done.stdout


def test_a_recipe_of_an_earlier_version_says_trunk():
    assert networks.options_model("triple")(trunk="resnet34").model_dump()["encoder"] == "resnet34"
    with pytest.raises(BadRecipe, match="unknown encoder"):
        networks.build("triple", trunk="resnet81")
