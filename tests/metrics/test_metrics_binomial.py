"""Clopper-Pearson intervals, and TPR at an FPR with enough non-members."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from distilleak.errors import DistilleakError
from distilleak.metrics.binomial import (
    allowed_false_positives,
    clopper_pearson,
    enough_nonmembers,
    lower_bound,
    tpr_at_fpr,
    upper_bound,
)
from distilleak.metrics.rates import Ranking


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (3, 1000), (0, 1)])
def test_the_interval_is_the_exact_one(k, n):
    expected = stats.binomtest(k, n).proportion_ci(0.95, "exact")
    assert clopper_pearson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.data(), st.sampled_from([0.9, 0.95, 0.99]))
def test_one_sided_bounds_leave_the_stated_tail(n, data, level):
    k = data.draw(st.integers(0, n))
    low, high = float(lower_bound(k, n, level)), float(upper_bound(k, n, level))

    def at_least(p, k):
        return math.fsum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))

    assert low == 0 if k == 0 else at_least(low, k) == pytest.approx(1 - level, rel=1e-8)
    assert high == 1 if k == n else 1 - at_least(high, k + 1) == pytest.approx(1 - level, rel=1e-8)


@pytest.mark.parametrize("n", [5, 30, 100])
def test_the_interval_covers_every_probability_at_least_at_its_level(n):
    # Exact coverage, by summing over all outcomes instead of simulating.
    low, high = clopper_pearson(np.arange(n + 1), n)
    p = np.linspace(0.001, 0.999, 500)
    outcomes = stats.binom.pmf(np.arange(n + 1), n, p[:, None])
    covered = (outcomes * ((low <= p[:, None]) & (p[:, None] <= high))).sum(axis=1)
    assert covered.min() >= 0.95


def test_bounds_broadcast():
    assert lower_bound(np.arange(4), 10).shape == (4,)
    assert upper_bound(3, np.array([5, 10])).shape == (2,)


def test_without_trials_everything_is_possible():
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_an_error(k, n):
    with pytest.raises(DistilleakError, match="allowed: 0 to the number of trials"):
        lower_bound(k, n)


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 1), st.integers(1, 2000))
def test_allowed_false_positives_are_the_most_whose_rate_is_at_or_under_the_target(fpr, n):
    assert allowed_false_positives(fpr, n) == max(k for k in range(n + 1) if k / n <= fpr)


@pytest.mark.parametrize(
    ("fpr", "n", "enough"),
    [(0.01, 1000, True), (0.01, 999, False), (0.001, 1000, False), (0.001, 10_000, True)],
)
def test_ten_false_positives_are_enough_and_nine_are_not(fpr, n, enough):
    assert enough_nonmembers(fpr, n) == enough


def test_the_documented_spread_of_the_true_fpr_is_that_of_the_order_statistic():
    rng = np.random.default_rng(0)
    highest = np.sort(rng.random((8000, 1000)), axis=1)[:, [-11, -2]]  # thresholds for k = 10, 1
    true_fpr = 1 - highest
    low, high = np.quantile(true_fpr / [0.01, 0.001], [0.025, 0.975], axis=0)
    assert low == pytest.approx([0.55, 0.24], rel=0.08)
    assert high == pytest.approx([1.83, 5.56], rel=0.08)


def example(rng, members=1000, nonmembers=1000, shift=1.0):
    labels = np.arange(members + nonmembers) < members
    return rng.normal(size=len(labels)) + shift * labels, labels


def test_the_rate_is_that_of_the_ranking():
    scores, labels = example(np.random.default_rng(1))
    found = tpr_at_fpr(scores, labels, 0.01)
    expected = Ranking.of(scores, labels).tpr_at_fpr(np.ones((1, 2000), np.int16), 0.01)[0]
    assert found.tpr == expected
    assert found.low < found.tpr < found.high
    assert (found.nonmembers, found.false_positives, found.reason) == (1000, 10, "")


def test_a_rate_that_depends_on_one_false_positive_is_refused_with_a_reason():
    found = tpr_at_fpr(*example(np.random.default_rng(1)), 0.001)
    assert np.isnan([found.tpr, found.low, found.high]).all()
    assert found.reason == (
        "1000 non-members allow 1 false positives at an FPR of 0.001; at least 10 are needed"
    )


@pytest.mark.parametrize(("nonmembers", "fpr"), [(1000, 0.01), (300, 0.1)])
def test_the_interval_covers_the_tpr_at_the_true_fpr_and_one_at_the_threshold_alone_does_not(
    nonmembers, fpr
):
    rng = np.random.default_rng(2)
    truth = stats.norm.sf(stats.norm.isf(fpr) - 1)
    covered = naive = 0
    for _ in range(1000):
        found = tpr_at_fpr(*example(rng, 1000, nonmembers), fpr)
        covered += found.low <= truth <= found.high
        low, high = clopper_pearson(round(found.tpr * 1000), 1000)
        naive += low <= truth <= high
    assert covered / 1000 >= 0.95
    assert naive / 1000 < 0.80


def test_the_interval_covers_the_truth_for_scores_with_ties():
    rng = np.random.default_rng(3)
    # Three or four of four votes: non-members 0.3125 of the time, under the target; members 0.4752.
    truth, covered = 0.4752, 0
    for _ in range(1000):
        labels = np.arange(600) < 300
        votes = rng.binomial(4, np.where(labels, 0.6, 0.5))
        found = tpr_at_fpr(votes.astype(float), labels, 0.32)
        covered += found.low <= truth <= found.high
    assert covered / 1000 >= 0.95


def test_a_perfect_attack_has_an_upper_end_of_one():
    labels = np.arange(400) < 200
    found = tpr_at_fpr(labels.astype(float), labels, 0.1)
    assert (found.tpr, found.high) == (1.0, 1.0)
    assert found.low > 0.95


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, float("nan")])
def test_a_target_that_leaves_nothing_to_measure_is_an_error(fpr):
    with pytest.raises(DistilleakError, match="allowed: above 0 and below 1"):
        tpr_at_fpr(np.zeros(4), np.arange(4) < 2, fpr)
