"""P-values and Holm's correction."""

import math

import numpy as np
import pytest
from scipy import stats

from distilleak.errors import DistilleakError
from distilleak.metrics.compare import Difference, detectable, holm, two_sided


def test_the_p_value_is_that_of_a_z_test_or_a_t_test():
    assert two_sided(0.05, 0.02) == pytest.approx(2 * stats.norm.sf(2.5), rel=1e-9)
    assert two_sided(-0.05, 0.02, 3) == pytest.approx(2 * stats.t.sf(2.5, 3), rel=1e-9)


def test_a_difference_without_spread_is_certain():
    assert two_sided(0.5, 0.0) == two_sided(0.5, 0.0, 3) == 0.0
    assert two_sided(0.0, 0.0) == two_sided(0.0, 0.0, 3) == 1.0


def test_holm_by_hand():
    # Sorted: 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.04; then the running
    # maximum.
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])


def test_holm_stays_at_or_below_one_and_leaves_a_single_p_value_alone():
    np.testing.assert_allclose(holm([0.7, 0.9, 0.4]), [1, 1, 1])
    np.testing.assert_allclose(holm([0.03]), [0.03])
    assert len(holm([])) == 0


def test_holm_rejects_what_the_step_down_procedure_rejects():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(12) ** 4
        rejected = np.zeros(12, bool)
        for step, i in enumerate(np.argsort(p)):
            if p[i] > 0.05 / (12 - step):
                break
            rejected[i] = True
        np.testing.assert_array_equal(holm(p) <= 0.05, rejected)


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_holm_refuses_what_is_not_a_probability(bad):
    with pytest.raises(DistilleakError, match="p-value number 1"):
        holm([0.5, bad])


@pytest.mark.parametrize("degrees", [4, math.inf])
def test_a_detectable_difference_is_found_with_the_power(degrees):
    rng = np.random.default_rng(0)
    found = Difference(0.0, 0.0, 0.0, 1.0, 0.01, degrees)
    true = detectable(found, 0.05, 0.8)
    draws = 40_000
    if math.isinf(degrees):
        errors = np.full(draws, 0.01)
    else:
        errors = 0.01 * np.sqrt(rng.chisquare(degrees, draws) / degrees)
    seen = rng.normal(true, 0.01, draws)
    tests = [two_sided(d, e, degrees) < 0.05 for d, e in zip(seen, errors, strict=True)]
    # With few degrees of freedom the approximation promises a little too little.
    assert np.mean(tests) == pytest.approx(0.8, abs=0.03)
    assert detectable(found, 0.01, 0.8) > true
