"""What a benchmark consists of."""

import pytest

from toy_prepared import TASK, write_toy
from triplenet import catalog
from triplenet.benchmark import make_plan, plan
from triplenet.errors import BadPreparedSet, BadRecipe, UnknownName


def test_every_method_runs_on_every_fold_with_every_seed(toy):
    jobs = list(toy.plan(("all",), folds=(1, 3), seeds=(0, 5)).jobs())
    assert len(jobs) == len(set(jobs)) == 10 * 2 * 2
    assert {job.method for job in jobs} == set(catalog.METHODS)
    assert {(job.fold, job.seed) for job in jobs} == {(1, 0), (1, 5), (3, 0), (3, 5)}
    assert len({job.path for job in jobs}) == len(jobs)


def test_methods_that_the_set_does_not_allow_are_named_with_the_reason(tmp_path):
    flat = write_toy(tmp_path / "flat")
    found = make_plan(flat, TASK)
    assert {one.method: one.reason for one in found.not_run} == dict.fromkeys(
        ("resnet3d", "covnet", "decovnet"), "needs frames"
    )
    assert set(found.methods) | {one.method for one in found.not_run} == set(catalog.METHODS)
    with pytest.raises(BadPreparedSet, match="covnet needs frames"):
        make_plan(flat, TASK, ("baseline", "covnet"))


def test_a_setting_can_be_of_one_method_only(toy):
    found = toy.plan(("decovnet", "baseline"), ["baseline:training.epochs=7"])
    assert found.recipes["baseline"].training.epochs == 7
    assert found.recipes["decovnet"].training.epochs == 2


def test_the_seed_of_a_job_is_in_its_recipe(toy):
    found = toy.plan(seeds=(3, 4))
    assert [found.recipe(job).training.seed for job in found.jobs()] == [3, 4]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"methods": ("tripple",)}, UnknownName),
        ({"folds": (4,)}, UnknownName),
        ({"seeds": (-1,)}, BadRecipe),
        ({"settings": ("training.epoch=3",)}, BadRecipe),
        ({"settings": ("nothing:training.epochs=3",)}, UnknownName),
    ],
)
def test_what_does_not_exist_is_refused(toy, more, error):
    with pytest.raises(error):
        toy.plan(**more)


def test_a_fingerprint_changes_with_recipe_data_fold_seed_and_code(toy, tmp_path, monkeypatch):
    def digests(found):
        return [plan.digest(found.fingerprint(job)) for job in found.jobs()]

    usual = digests(toy.plan(folds=(1, 2), seeds=(0, 1)))
    assert len(set(usual)) == 4
    assert digests(toy.plan(folds=(1, 2), seeds=(0, 1))) == usual
    assert not set(digests(toy.plan(settings=["training.learning_rate=0.5"]))) & set(usual)
    declared = toy.plan(folds=(1, 2), seeds=(0, 1), settings=["evaluation.primary_map_measure=rank"])
    assert digests(declared) == usual
    other = write_toy(tmp_path / "other", ("none", "spot") * 12, size=40, frames=4, seed=1)
    again = make_plan(other, toy.task, ("decovnet",), recipe="quick", settings=toy.plan().settings)
    assert not set(digests(again)) & set(usual)
    monkeypatch.setattr(plan, "code_version", lambda: "another")
    assert not set(digests(toy.plan())) & set(usual)


def test_the_code_version_follows_the_sources_that_decide_a_training():
    from pathlib import Path

    import triplenet

    root = Path(triplenet.__file__).parent
    read = {path for name in plan.DECIDING for path, _ in plan._sources(root / name, name)}
    assert {"losses/dice.py", "networks/triple.py", "training/loop.py", "model/storage.py", "catalog.py"} <= read
    assert "training/recipes/paper.toml" in read
    assert not any("__pycache__" in path or path.startswith(("report", "cli")) for path in read)


def test_encoder_weights_for_all_methods_are_for_those_with_a_2d_encoder(tmp_path):
    prepared = write_toy(tmp_path / "set", ("none", "spot") * 12, size=40, frames=4)

    def weights(methods, *settings):
        chosen = make_plan(prepared, TASK, methods, settings=["encoder.weights=a.pth", *settings])
        return {name: recipe.encoder.weights for name, recipe in chosen.recipes.items()}

    both = ("resnet3d", "decovnet", "covnet", "baseline")
    assert weights(both) == {"resnet3d": "imagenet", "covnet": "a.pth", "decovnet": "imagenet", "baseline": "a.pth"}
    assert weights(both, "resnet3d:encoder.weights=b.pth")["resnet3d"] == "b.pth"
    assert weights(("resnet3d",)) == {"resnet3d": "a.pth"}
