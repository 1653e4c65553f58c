"""Scores of maps over patients."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from triplenet.evaluation.map_statistics import (
    MapValues,
    against_best,
    best_of,
    compare_maps,
    map_estimates,
    map_ranks,
    mean_over_seeds,
    measures_agree,
)

NAN = np.nan
FOLDS = np.repeat([1, 2], 20)


def scored(measure="energy", higher=True, groups=None, **values):
    return MapValues(measure, {name: np.asarray(one, float) for name, one in values.items()}, FOLDS, groups, higher)


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(0, 0.05, 40)


def test_a_patient_counts_once_whatever_the_seeds():
    rows = {("a", 0): 0.2, ("a", 1): 0.4, ("b", 0): None, ("b", 1): 0.8, ("c", 0): None}
    assert mean_over_seeds(rows, ["a", "b", "c", "d"]) == pytest.approx([0.3, 0.8, NAN, NAN], nan_ok=True)


def test_the_mean_is_over_the_patients_that_have_a_score(noise):
    half = np.where(np.arange(40) % 2, 0.5 + noise, NAN)
    found = map_estimates(scored(a=half, none=np.full(40, NAN)))
    assert found["a"].value == pytest.approx(np.nanmean(half))
    spread = 1.96 * np.nanstd(half) / np.sqrt(20)
    assert found["a"].high - found["a"].value == pytest.approx(spread, rel=0.15)
    assert np.isnan(found["none"].value)


def test_patients_of_one_group_widen_the_interval(noise):
    alone = map_estimates(scored(a=0.5 + noise))["a"]
    twins = map_estimates(scored(a=np.repeat(0.5 + noise[::2], 2), groups=[f"g{row // 2}" for row in range(40)]))["a"]
    assert twins.high - twins.low > 1.2 * (alone.high - alone.low)


def test_methods_are_compared_on_the_patients_of_both(noise):
    base = 0.3 + noise
    better = base + 0.1 + np.random.default_rng(1).normal(0, 0.02, 40)
    better[:10] = NAN
    values = scored(base=base, better=better, same=base, little=base + np.random.default_rng(2).normal(0, 0.02, 40))
    found = compare_maps(values, ["base", "better", "same", "little"], "base")
    assert set(found) == {"better", "same", "little"}
    one = found["better"]
    assert one.patients == 30 and one.difference.value == pytest.approx(np.nanmean(better - base))
    assert one.exceeds() and not one.exceeds(higher_is_better=False)
    assert found["same"].difference.value == 0 and not found["same"].exceeds()
    # Holm: the smallest of three p is multiplied by three.
    assert one.adjusted == pytest.approx(3 * one.difference.p)
    assert compare_maps(values, ["better"], "nobody") == {}


def test_a_map_must_exceed_the_best_of_those_that_see_nothing(noise):
    values = scored(
        own=0.5 + noise[::-1],
        weak=0.3 + noise * np.where(np.arange(40) % 2, 12, -12),
        edges=0.3 + noise,
        uniform=np.full(40, 0.1),
    )
    assert best_of(values, ["uniform", "edges", "absent"]) == "edges"
    found = against_best(values, ["own", "weak"], ["uniform", "edges"])
    assert {one.other for one in found.values()} == {"edges"}
    assert found["own"].exceeds() and not found["weak"].exceeds()
    assert against_best(values, ["own"], []) == {}
    lower = scored(higher=False, own=0.5 + noise, edges=0.3 + noise, uniform=np.full(40, 0.1))
    assert best_of(lower, ["uniform", "edges"]) == "uniform"


def test_ranks_share_ties_and_know_which_way_is_better(noise):
    values = {"a": 0.9 + noise, "b": 0.5 + noise, "c": 0.5 + noise, "d": np.full(40, NAN)}
    found = map_ranks(scored(**values), ["a", "b", "c", "d"])
    assert {name: one.value for name, one in found.items()} == {"a": 1.0, "b": 2.5, "c": 2.5}
    assert (found["a"].low, found["a"].high) == (1.0, 1.0)
    assert map_ranks(scored(higher=False, **values), ["a", "b"])["a"].value == 2.0
    close = map_ranks(scored(a=0.5 + noise, b=0.5 - noise), ["a", "b"])
    assert (close["a"].low, close["a"].high) == (1.0, 2.0)
    assert map_ranks(scored(a=noise), ["a"]) == {}


def test_measures_agree_as_kendalls_tau_of_scipy_says():
    generator = np.random.default_rng(3)
    names = list("abcdef")
    first = {name: place + generator.normal(0, 1, 40) for place, name in enumerate(names)}
    second = {name: (place // 2) + generator.normal(0, 1, 40) for place, name in enumerate(names)}
    measures = [scored("one", **first), scored("two", **second), scored("cost", higher=False, **first)]
    found = measures_agree(measures, names)
    means = [[float(one[name].mean()) for name in names] for one in (first, second)]
    assert found["one", "two"].value == pytest.approx(kendalltau(*means).statistic)
    assert found["one", "two"].low < found["one", "two"].value <= found["one", "two"].high <= 1
    assert found["one", "cost"].value == -1.0
    assert set(found) == {("one", "two"), ("one", "cost"), ("two", "cost")}


def test_two_measures_agree_about_the_methods_that_both_have():
    """The third method has no value in the second measure, as a map that is dark everywhere has none."""
    line = np.linspace(0, 1, 40)
    first = scored("one", a=line, b=line + 0.1, c=line - 0.1)
    second = scored("two", a=line, b=line + 0.2, c=np.full(40, NAN))
    third = scored("three", a=-line, b=-line - 0.1, c=line + 1)
    found = measures_agree([first, second, third], ["a", "b", "c"])
    assert found["one", "two"].value == 1.0
    assert found["two", "three"].value == -1.0
    assert found["one", "three"].value == pytest.approx(-1.0)


def test_a_measure_that_tells_nothing_apart_agrees_with_none():
    flat = scored("flat", a=np.full(40, 0.5), b=np.full(40, 0.5))
    other = scored("other", a=np.linspace(0, 1, 40), b=np.linspace(0.1, 1, 40))
    assert np.isnan(measures_agree([flat, other], ["a", "b"])["flat", "other"].value)
    assert measures_agree([other], ["a", "b"]) == {}
