"""What other packages bring, and that one which cannot be used costs itself."""

from __future__ import annotations

import logging
import sys

import pytest

from triplenet import catalog, losses, networks
from triplenet.catalog import Method
from triplenet.errors import BadMethod, BadRecipe, MissingExtra, UnknownName
from triplenet.losses import LossOptions
from triplenet.losses.joint_objective import Objective
from triplenet.plugins import Registry
from triplenet.training import load_recipe

GOOD = "from triplenet.catalog import Method\nMETHOD = Method(name='NAME', title='', module='MODULE', parameters=1)\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Pretend that a package is installed whose module is ``text``, with these entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(package, text, *entries, group="triplenet.methods"):
        (tmp_path / f"{package}.py").write_text(text)
        about = tmp_path / f"{package}-2.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.0\n")
        (about / "entry_points.txt").write_text("\n".join([f"[{group}]", *entries]) + "\n")

    yield install
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def methods(monkeypatch):
    """The catalog as a new process has it."""
    registry = Registry("triplenet.methods", catalog.PAPERS_METHODS, catalog.METHODS._accept)
    monkeypatch.setattr(catalog, "METHODS", registry)
    return registry


def good(name, module="nowhere"):
    return GOOD.replace("NAME", name).replace("MODULE", module)


def test_a_method_of_another_package_stands_after_the_papers(installed, methods):
    installed("brings_one", good("another"), "another = brings_one:METHOD")
    assert list(methods) == [*catalog.PAPERS_METHODS, "another"]
    assert catalog.method("another").package == "brings_one 2.0"
    assert methods.refused == {}


@pytest.mark.parametrize(
    ("text", "entry", "why"),
    [
        ("import no_such_package", "broken = broken_package:METHOD", "No module named 'no_such_package'"),
        ("1 / 0", "broken = broken_package:METHOD", "ZeroDivisionError"),
        ("", "broken = broken_package:METHOD", "AttributeError"),
        ("METHOD = 'triple'", "broken = broken_package:METHOD", "a str is not"),
        (good("other"), "broken = broken_package:METHOD", "calls itself 'other'"),
        (good("Broken One"), "broken = broken_package:METHOD", "not a name"),
        (good("all"), "broken = broken_package:METHOD", "not a name"),
        (
            good("broken").replace("parameters=1", "parameters=1, dimensions=4"),
            "broken = broken_package:METHOD",
            "2 or",
        ),
        (good("triple"), "triple = broken_package:METHOD", "triplenet has one"),
    ],
)
def test_one_that_cannot_be_used_costs_itself_and_is_said_once(installed, methods, caplog, text, entry, why):
    installed("broken_package", text, entry)
    installed("brings_one", good("another"), "another = brings_one:METHOD")
    with caplog.at_level(logging.WARNING, logger="triplenet.plugins"):
        assert list(methods) == [*catalog.PAPERS_METHODS, "another"]
        assert list(methods) == [*catalog.PAPERS_METHODS, "another"]
    (said,) = caplog.messages
    assert why in said and "broken_package 2.0" in said
    assert catalog.method("triple").package == ""
    if entry.startswith("broken"):
        with pytest.raises(BadMethod, match=r"broken_package 2\.0"):
            catalog.method("broken")
    with pytest.raises(UnknownName, match="did you mean 'another'"):
        catalog.method("anothr")


def test_a_name_that_two_packages_bring_is_nobodys(installed, methods):
    installed("first_one", good("same"), "same = first_one:METHOD")
    installed("second_one", good("same"), "same = second_one:METHOD")
    assert "same" not in methods
    assert "first_one 2.0 and second_one 2.0" in methods.refused["same"]


def test_the_papers_methods_are_found_without_asking_other_packages(installed, methods):
    installed("broken_package", "1 / 0", "broken = broken_package:METHOD")
    assert catalog.method("triple").title == "Triple Net"
    assert "_found" not in vars(methods)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_package", "no_such_package"),
        ("1 / 0", "ZeroDivisionError"),
        ("METHOD = 3", "does not define Options"),
        ("from triplenet.networks.baseline import Options\nclass METHOD: pass", "does not define Options"),
    ],
)
def test_a_network_that_cannot_be_used_is_named_with_its_package(installed, methods, text, why):
    installed("brings_one", good("another", "its_network"), "another = brings_one:METHOD")
    installed("its_network", text)
    with pytest.raises(BadMethod, match=rf"{why}.*mend brings_one 2\.0"):
        networks.build("another")
    with pytest.raises(BadMethod):
        load_recipe(method="another")


def test_one_of_ours_without_torch_still_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "triplenet.networks.mtdl", raising=False)
    with pytest.raises(MissingExtra):
        networks.build("mtdl")


def test_a_loss_term_that_nobody_brings_is_named():
    with pytest.raises(BadMethod, match=r"'shape' cannot be used .no installed package"):
        Objective(("classification", "shape"), LossOptions())


def test_a_weight_is_taken_for_a_term_that_the_method_has_and_for_no_other():
    assert load_recipe(method="triple", settings=["loss.weights.segmentation=2"]).loss.weights.of("segmentation") == 2
    with pytest.raises(BadRecipe, match=r"did you mean 'loss\.weights\.segmentation'"):
        load_recipe(method="triple", settings=["loss.weights.segmentaton=2"])
    with pytest.raises(BadRecipe, match=r"loss\.weights\.shape"):
        load_recipe(method="triple", settings=["loss.weights.shape=-1"])
    assert LossOptions().weights.of("shape") == 1
    assert LossOptions().weights.of("copy") == 1  # a name that the model has for something else
    assert losses.objective("triple").weights(0.5)["segmentation"] == 1


def test_a_method_has_a_class_to_learn():
    with pytest.raises(ValueError, match="classification"):
        Method(name="x", title="", module="y", terms=("contrastive",), parameters=1)
