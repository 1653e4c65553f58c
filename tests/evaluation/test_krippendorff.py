"""Krippendorff's alpha: his own examples, worked by hand in his paper of 2011."""

import numpy as np
import pytest

from triplenet.evaluation.krippendorff import alpha, alpha_estimate

NO = np.nan
#: His example C: four observers, twelve units, five values, answers missing. (units, observers)
EXAMPLE = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NO, NO, NO],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NO, 3],
        [NO, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NO],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NO],
    ]
).T
#: His example A: two observers, ten units, two values.
TWO = np.array([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]).T


@pytest.mark.parametrize(("measurement", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_the_published_example_with_missing_answers(measurement, expected):
    assert alpha(EXAMPLE, measurement) == pytest.approx(expected, abs=5e-4)


def test_the_published_example_of_two_observers():
    # Coincidences 10, 4, 4, 2; n = 20: 1 - 19 * 4 / (14 * 6).
    assert alpha(TWO, "nominal") == pytest.approx(1 - 19 * 4 / (14 * 6))
    assert alpha(TWO, "nominal") == pytest.approx(0.095, abs=5e-4)


def test_readers_who_always_agree_have_1_and_those_who_never_do_less_than_0():
    same = np.array([[1, 1, 1], [2, 2, 2], [3, 3, 3]])
    assert alpha(same, "nominal") == alpha(same, "ordinal") == 1
    assert alpha([[1, 2], [2, 1], [1, 2]], "nominal") < 0


def test_what_says_nothing_of_agreement_is_not_defined_or_not_counted():
    assert np.isnan(alpha([[1, 1], [1, 1]], "nominal"))  # nobody ever answered otherwise
    assert np.isnan(alpha([[1, NO], [NO, 2]], "nominal"))  # nobody answered the same unit
    with_a_lonely_unit = np.vstack([TWO, [1, NO]])
    assert alpha(with_a_lonely_unit, "nominal") == pytest.approx(alpha(TWO, "nominal"))


def test_the_order_of_readers_and_units_does_not_matter():
    turned = EXAMPLE[::-1, ::-1]
    for measurement in ("nominal", "ordinal", "interval"):
        assert alpha(turned, measurement) == pytest.approx(alpha(EXAMPLE, measurement))


def test_the_interval_is_that_of_resampled_units_one_by_one():
    found = alpha_estimate(EXAMPLE, "ordinal", resamples=300, seed=3)
    rng = np.random.default_rng(3)
    slow = []
    for counts in rng.multinomial(12, np.full(12, 1 / 12), size=300):
        slow.append(alpha(np.repeat(EXAMPLE, counts, axis=0), "ordinal"))
    assert found.value == pytest.approx(0.815, abs=5e-4)
    assert (found.low, found.high) == pytest.approx(tuple(np.nanpercentile(slow, (2.5, 97.5))))


def test_units_of_one_case_are_drawn_together():
    # Twice the same units: no more is known than from one of them, if the two belong together.
    twice, case = np.vstack([EXAMPLE, EXAMPLE]), [str(number) for number in range(12)] * 2
    alone = alpha_estimate(twice, "nominal", resamples=800)
    together = alpha_estimate(twice, "nominal", groups=case, resamples=800)
    assert together.high - together.low > 1.2 * (alone.high - alone.low)
