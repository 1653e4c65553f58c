"""Decision curves."""

import numpy as np
import pytest

from triplenet.evaluation.decision import decision_curve


def test_net_benefit_by_hand():
    # Positives 0.9, 0.6, 0.2; negatives 0.7, 0.3. At 0.5: 2 TP, 1 FP. At 0.25: 2 TP, 2 FP.
    found = decision_curve([1, 1, 1, 0, 0], [0.9, 0.6, 0.2, 0.7, 0.3], thresholds=[0.5, 0.25], resamples=0)
    assert found.model == pytest.approx([2 / 5 - 1 / 5, 2 / 5 - 2 / 5 / 3])
    assert found.treat_all == pytest.approx([3 / 5 - 2 / 5, 3 / 5 - 2 / 5 / 3])
    assert np.isnan(found.low).all()


def test_a_perfect_model_gains_the_share_of_positives_and_nobody_does_better():
    truth = np.arange(50) % 5 < 2
    found = decision_curve(truth, truth.astype(float), resamples=0)
    assert found.model == pytest.approx(np.full(99, 0.4))
    worse = decision_curve(truth, np.linspace(0, 1, 50), resamples=0)
    assert (worse.model <= found.model + 1e-12).all()


def test_treating_all_gains_nothing_where_the_threshold_is_the_share_of_positives():
    found = decision_curve([1, 0, 0, 0], [0.5] * 4, thresholds=[0.25], resamples=0)
    assert found.treat_all == pytest.approx([0])


def test_the_interval_holds_the_curve_and_groups_widen_it():
    rng = np.random.default_rng(0)
    truth = np.arange(80) % 2 == 0
    p = np.clip(0.5 + 0.3 * (truth - 0.5) + 0.2 * rng.normal(size=80), 0, 1)
    found = decision_curve(truth, p, resamples=500)
    assert (found.low <= found.model + 1e-12).all() and (found.model <= found.high + 1e-12).all()
    grouped = decision_curve(
        np.repeat(truth, 4), np.repeat(p, 4), groups=[str(r // 4) for r in range(320)], resamples=500
    )
    naive = decision_curve(np.repeat(truth, 4), np.repeat(p, 4), resamples=500)
    assert (grouped.high - grouped.low).mean() > 1.7 * (naive.high - naive.low).mean()
