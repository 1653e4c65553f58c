"""Widths of intervals and patients for narrower ones."""

import numpy as np
import pytest
from scipy.stats import norm

from triplenet.errors import BadInput
from triplenet.evaluation.delong import interval_from_variance
from triplenet.evaluation.intervals import Estimate, proportion, wilson
from triplenet.evaluation.sample_size import patients_for_logit, patients_for_proportion, widths_of

Z2 = norm.ppf(0.975) ** 2


def width(estimate):
    return estimate.high - estimate.low


def test_wilsons_patients_are_the_hand_worked_ones():
    # At one half Wilson's interval is Wald's of z^2 patients more: z^2 / w^2 - z^2.
    assert patients_for_proportion(0.5, 0.2) == pytest.approx(Z2 / 0.04 - Z2)
    # Where all are so: z^2 / (n + z^2) = w.
    assert patients_for_proportion(1.0, 0.1) == pytest.approx(Z2 / 0.1 - Z2)
    assert patients_for_proportion(0.0, 0.1) == pytest.approx(Z2 / 0.1 - Z2)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.83, 1.0])
def test_so_many_patients_have_an_interval_of_that_width(share):
    for wanted in (0.05, 0.1, 0.4):
        patients = patients_for_proportion(share, wanted, level=0.9)
        assert width(proportion((share,), (patients,), level=0.9)) == pytest.approx(wanted)


@pytest.mark.parametrize("area", [0.5, 0.72, 0.95, 0.03])
def test_an_auc_whose_variance_falls_with_the_patients_has_that_width(area):
    at_hand = interval_from_variance(area, 0.002)
    for wanted in (0.05, 0.1, 0.3):
        patients = patients_for_logit(at_hand, 100, wanted)
        assert width(interval_from_variance(area, 0.002 * 100 / patients)) == pytest.approx(wanted)


def test_the_patients_needed_are_counted_in_patients_of_all_classes():
    # 30 of 40 positives found, of 100 tested; the interval asked for is of positives, of whom 40 % are.
    found = widths_of({"sensitivity": wilson(30, 40)}, 100, positive=1, widths=(0.1,))["sensitivity"]
    assert (found.width, found.patients) == (pytest.approx(width(wilson(30, 40))), 100)
    positives = next(n for n in range(1, 2000) if width(proportion((0.75,), (n,))) <= 0.1)
    assert (positives - 1) / 0.4 < found.needed[0.1] <= positives / 0.4
    # An interval that is twice as wide for four times fewer independent patients keeps their number.
    grouped = proportion((0.75,), (10,))
    wide = widths_of({"sensitivity": grouped}, 100, positive=1, widths=(0.1,))["sensitivity"]
    assert wide.needed[0.1] == pytest.approx(4 * found.needed[0.1], abs=4)


def test_the_width_at_hand_needs_the_patients_at_hand():
    auc, share = interval_from_variance(0.8, 0.001), wilson(70, 100)
    for name, one in (("auc", auc), ("accuracy", share)):
        found = widths_of({name: one}, 100, positive=1, widths=(width(one),))[name]
        assert found.needed[width(one)] == 100


def test_a_share_of_several_classes_is_wilsons_and_a_mean_over_them_is_not():
    estimates = {"accuracy": wilson(70, 100), "sensitivity": wilson(70, 100)}
    found = widths_of(estimates, 100, positive=None, widths=(0.05,))
    assert found["accuracy"].needed[0.05] == int(np.ceil(patients_for_proportion(0.7, 0.05)))
    assert found["sensitivity"].needed[0.05] == int(np.ceil(patients_for_logit(wilson(70, 100), 100, 0.05)))
    assert found["accuracy"].needed != found["sensitivity"].needed


def test_nothing_is_said_where_there_is_no_interval():
    nan = float("nan")
    found = widths_of({"auc": Estimate(1.0, nan, nan), "accuracy": Estimate(0.5, nan, nan)}, 20, positive=1)
    assert np.isnan([one.width for one in found.values()]).all()
    assert [set(one.needed.values()) for one in found.values()] == [{None}, {None}]
    apart = widths_of({"auc": Estimate(1.0, 0.8, 1.0)}, 20, positive=1)["auc"]  # no logit of 1
    assert set(apart.needed.values()) == {None}
    assert widths_of({}, 20, positive=1) == {}


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, float("nan")])
def test_a_width_lies_between_0_and_1(wrong):
    with pytest.raises(BadInput, match="width"):
        widths_of({"accuracy": wilson(7, 10)}, 10, positive=1, widths=(0.1, wrong))
