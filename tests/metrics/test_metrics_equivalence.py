"""Two one-sided tests: equivalent, different, both, or neither."""

import numpy as np
import pytest
from scipy import stats

from distilleak.errors import DistilleakError
from distilleak.metrics.compare import Difference, two_sided
from distilleak.metrics.equivalence import tost, verdict


def difference(value, error, degrees=np.inf):
    reach = stats.t.ppf(0.975, degrees) * error
    p = two_sided(value, error, degrees)
    return Difference(value, value - reach, value + reach, p, error, degrees)


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (0.0, 0.01, "equivalent"),
        (0.2, 0.01, "different"),
        (0.03, 0.01, "different but smaller than margin"),
        (0.02, 0.05, "inconclusive"),
    ],
)
def test_the_four_verdicts(value, error, expected):
    for sign in (1, -1):
        assert tost(difference(sign * value, error), 0.05).verdict == expected


@pytest.mark.parametrize("degrees", [2, 5, np.inf])
@pytest.mark.parametrize(("value", "error"), [(0.01, 0.02), (-0.03, 0.01), (0.08, 0.02)])
def test_the_p_value_is_the_larger_of_the_two_one_sided_ones(value, error, degrees):
    lower = stats.t.sf((value + 0.05) / error, degrees)
    upper = stats.t.cdf((value - 0.05) / error, degrees)
    assert tost(difference(value, error, degrees), 0.05).p_value == pytest.approx(max(lower, upper))


def test_equivalence_is_a_90_percent_interval_within_the_margin():
    rng = np.random.default_rng(0)
    for value, error in zip(rng.normal(0, 0.03, 200), rng.uniform(0.005, 0.04, 200), strict=True):
        reach = stats.norm.ppf(0.95) * error
        within = value - reach > -0.05 and value + reach < 0.05
        assert (tost(difference(value, error), 0.05).p_value < 0.05) == within


@pytest.mark.parametrize("error", [0.005, 0.02, 0.05])
def test_a_difference_of_the_margin_is_called_equivalent_in_at_most_5_percent(error):
    # 6.5 % is two standard errors above 5 % for 1,000 draws.
    values = 0.05 + error * np.random.default_rng(1).normal(size=1000)
    called = [tost(difference(v, error), 0.05).p_value < 0.05 for v in values]
    assert np.mean(called) <= 0.065
    if error == 0.005:
        assert np.mean(called) >= 0.03


def test_a_difference_without_spread_is_decided_by_its_size():
    assert tost(difference(0.0, 0.0), 0.05).verdict == "equivalent"
    assert tost(difference(0.04, 0.0), 0.05).verdict == "different but smaller than margin"
    assert tost(difference(0.06, 0.0), 0.05).verdict == "different"
    assert tost(difference(0.05, 0.0), 0.05).p_value == 1.0


def test_corrected_p_values_give_their_own_verdict():
    assert verdict(0.04, 0.04) == "different but smaller than margin"
    assert verdict(0.08, 0.04) == "equivalent"
    assert verdict(0.04, 0.08) == "different"
    assert verdict(0.04, 0.04, alpha=0.01) == "inconclusive"


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan")])
def test_a_margin_must_be_above_zero(margin):
    with pytest.raises(DistilleakError, match="above 0"):
        tost(difference(0.0, 0.1), margin)
