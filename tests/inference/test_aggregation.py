"""From the probabilities of slices to those of a scan."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triplenet.errors import BadInput, UnknownName
from triplenet.inference.aggregation import AGGREGATES, aggregate, best_slices, decide
from triplenet.inference.options import Options


@st.composite
def answers(draw, least=1):
    k, classes = draw(st.integers(least, 6)), draw(st.integers(2, 4))
    raw = np.array(
        draw(st.lists(st.lists(st.floats(0.0, 1.0), min_size=classes, max_size=classes), min_size=k, max_size=k))
    )
    raw += 1e-9
    positive = draw(st.sets(st.integers(0, classes - 1)))
    weights = np.array(draw(st.lists(st.floats(0.0, 1e4), min_size=k, max_size=k)))
    return raw / raw.sum(1, keepdims=True), weights, sorted(positive)


@given(answers(), st.sampled_from(AGGREGATES))
def test_probabilities_stay_probabilities(drawn, rule):
    each, weights, positive = drawn
    found = aggregate(each, weights, rule, positive)
    assert found.shape == each.shape[1:] and (found >= 0).all()
    assert found.sum() == pytest.approx(1)


@given(answers(), st.sampled_from(AGGREGATES))
def test_one_slice_speaks_for_itself_by_every_rule(drawn, rule):
    each, weights, positive = drawn
    np.testing.assert_allclose(aggregate(each[:1], weights[:1], rule, positive), each[0], atol=1e-7)


@given(answers(least=2))
def test_noisy_or_is_the_chance_that_not_every_slice_is_free_of_disease(drawn):
    each, weights, positive = drawn
    found = aggregate(each, weights, "noisy-or", positive)
    if 0 < len(positive) < each.shape[1]:
        disease = each[:, positive].sum(1)
        assert found[positive].sum() == pytest.approx(1 - np.prod(1 - np.minimum(disease, 1)), abs=1e-9)
        assert found[positive].sum() >= disease.max() - 1e-9
    else:
        np.testing.assert_allclose(found, each.mean(0))


def test_the_rules_by_hand():
    each = [[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]]
    said = {rule: aggregate(each, [3.0, 1.0, 0.0], rule, [1])[1] for rule in AGGREGATES}
    assert said == pytest.approx(
        {"best": 0.8, "mean": 1.3 / 3, "noisy-or": 1 - 0.2 * 0.6 * 0.9, "weighted": (3 * 0.8 + 0.4) / 4}
    )


@given(answers(least=2))
def test_slices_without_infection_weigh_the_same(drawn):
    each, weights, positive = drawn
    np.testing.assert_allclose(aggregate(each, 0 * weights, "weighted", positive), each.mean(0))


@given(
    st.lists(st.floats(0.0, 500.0), min_size=1, max_size=40),
    st.integers(1, 8),
    st.floats(0.0, 30.0),
    st.floats(0.5, 10.0),
)
def test_the_best_slices_are_apart_the_largest_first_and_no_better_one_is_left_out(areas, count, apart, step):
    slices = list(range(len(areas)))
    heights = np.arange(len(areas)) * step
    chosen = best_slices(slices, areas, heights, count, apart)
    assert chosen[0] == int(np.argmax(areas)) and len(chosen) <= count
    assert sorted(chosen, key=lambda one: (-areas[one], one)) == chosen
    for one in chosen:
        assert all(one == other or abs(one - other) * step >= apart - 1e-6 for other in chosen)
    if len(chosen) < count:
        near = [any(abs(one - other) * step < apart for other in chosen) for one in slices]
        assert all(close or areas[one] <= 0 for one, close in enumerate(near) if one not in chosen)


def test_what_does_not_fit_is_refused():
    with pytest.raises(BadInput):
        decide([1, 2], [0.0, 0.0], [[0.5, 0.5]], "best", [1])
    with pytest.raises(UnknownName, match="aggregate"):
        Options(aggregate="median")
    with pytest.raises(UnknownName, match="search"):
        Options(search="fine")
    with pytest.raises(BadInput, match="slices"):
        Options(best_slices=0)
    with pytest.raises(BadInput, match="lesion"):
        Options(smallest_lesion_mm=0.1)
    with pytest.raises(BadInput, match="slices"):
        Options(best_slices=2.5)
    with pytest.raises(BadInput, match="HU"):
        Options(high_opacity_hu=float("nan"))
    with pytest.raises(UnknownName, match="lung_by"):
        Options(lung_by="eyes")
