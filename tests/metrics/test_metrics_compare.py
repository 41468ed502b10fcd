"""Paired differences and Holm's correction."""

import numpy as np
import pytest
from scipy import stats

from distilleak.errors import DistilleakError
from distilleak.metrics.bootstrap import interval, weights
from distilleak.metrics.compare import holm, paired_difference
from distilleak.metrics.rates import Ranking


def test_the_p_value_is_that_of_a_z_test_with_the_bootstrap_standard_error():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.6, 0.02, 500), rng.normal(0.55, 0.02, 500)
    found = paired_difference(0.6, a, 0.55, b)
    expected = 2 * stats.norm.sf(0.05 / np.std(a - b, ddof=1))
    assert found.difference == pytest.approx(0.05)
    assert found.p_value == pytest.approx(expected, rel=1e-9)
    assert (found.low, found.high) == interval(a - b)


def test_swapping_the_models_flips_the_sign_and_keeps_the_p_value():
    rng = np.random.default_rng(1)
    a, b = rng.random(200), rng.random(200)
    ab, ba = paired_difference(0.7, a, 0.5, b), paired_difference(0.5, b, 0.7, a)
    assert ba.difference == -ab.difference
    assert (ba.low, ba.high) == pytest.approx((-ab.high, -ab.low))
    assert ba.p_value == ab.p_value


def test_a_model_does_not_differ_from_itself():
    replicates = np.random.default_rng(0).random(100)
    found = paired_difference(0.5, replicates, 0.5, replicates)
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_p_values_go_below_the_resolution_of_counting_replicates():
    rng = np.random.default_rng(0)
    found = paired_difference(0.9, rng.normal(0.9, 0.01, 100), 0.6, rng.normal(0.6, 0.01, 100))
    assert 0 < found.p_value < 1e-6


def test_a_difference_without_spread_is_certain():
    assert paired_difference(1.0, np.ones(50), 0.5, np.full(50, 0.5)).p_value == 0.0


def test_pairing_makes_the_interval_of_similar_models_narrow():
    rng = np.random.default_rng(0)
    labels = np.arange(400) < 200
    scores = rng.normal(size=400) + labels
    similar = scores + 0.05 * rng.normal(size=400)
    w = weights(labels, 300, seed=0)
    a, b = Ranking.of(scores, labels).auc(w), Ranking.of(similar, labels).auc(w)
    paired = paired_difference(a.mean(), a, b.mean(), b)
    unpaired = paired_difference(a.mean(), a, b.mean(), rng.permutation(b))
    assert paired.high - paired.low < 0.3 * (unpaired.high - unpaired.low)


def test_the_p_value_of_equal_models_is_below_5_percent_about_5_times_in_100():
    rng = np.random.default_rng(3)
    labels = np.arange(120) < 60
    rejected = 0
    for dataset in range(200):
        w = weights(labels, 100, seed=dataset)
        one, other = (Ranking.of(rng.normal(size=120) + 0.5 * labels, labels) for _ in range(2))
        ones = np.ones((1, 120), np.int16)
        found = paired_difference(one.auc(ones)[0], one.auc(w), other.auc(ones)[0], other.auc(w))
        rejected += found.p_value < 0.05
    assert 0.01 <= rejected / 200 <= 0.10


def test_undefined_replicates_are_left_out():
    a = np.array([0.5, np.nan, 0.7, 0.6])
    b = np.array([0.4, 0.5, np.nan, 0.3])
    found = paired_difference(0.6, a, 0.4, b)
    expected = 2 * stats.norm.sf(0.2 / np.std([0.1, 0.3], ddof=1))
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_unequal_numbers_of_replicates_are_an_error():
    with pytest.raises(DistilleakError, match="3 and 4 replicates"):
        paired_difference(0.5, np.ones(3), 0.5, np.ones(4))


def test_a_difference_needs_two_defined_replicates():
    with pytest.raises(DistilleakError, match="1 defined"):
        paired_difference(0.5, np.array([0.5, np.nan]), 0.4, np.array([0.4, 0.4]))


def test_holm_by_hand():
    # Sorted: 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.04, then never falling.
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
