"""Thresholds: chosen on the other folds, or on hold-out non-members."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replicates import cross_fitted as cross_fitted_decisions
from replicates import weights as bootstrap_weights

from distilleak.errors import DistilleakError
from distilleak.metrics.thresholds import at_fpr, cross_fitted, folds


def slow_best_threshold(scores, labels):
    """Balanced accuracy at every cut between distinct scores; the highest of equally good cuts."""
    distinct = sorted(set(scores), reverse=True)
    cuts = [np.inf, *((a + b) / 2 for a, b in pairwise(distinct)), -np.inf]

    def balanced(t):
        tp = sum(1 for s, y in zip(scores, labels, strict=True) if y and s > t)
        tn = sum(1 for s, y in zip(scores, labels, strict=True) if not y and s <= t)
        members = max(1, sum(bool(y) for y in labels))
        nonmembers = max(1, sum(not y for y in labels))
        return Fraction(tp, members) + Fraction(tn, nonmembers)

    return max(cuts, key=balanced)


def slow_cross_fitted(scores, labels, fold):
    return np.array(
        [slow_best_threshold(scores[fold != k], labels[fold != k]) for k in fold], np.float64
    )


def example(members, nonmembers, seed, decimals=1, shift=0.8):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(members + nonmembers) < members)
    return np.round(rng.normal(size=len(labels)) + shift * labels, decimals), labels


def test_folds_divide_both_classes_evenly():
    _, labels = example(53, 31, seed=0)
    fold = folds(labels, 5, seed=3)
    assert set(np.bincount(fold[labels])) == {10, 11}
    assert set(np.bincount(fold[~labels])) == {6, 7}


def test_folds_are_a_pure_function_of_their_arguments():
    labels = np.arange(40) < 20
    np.testing.assert_array_equal(folds(labels, 4, seed=1), folds(labels, 4, seed=1))
    assert (folds(labels, 4, seed=1) != folds(labels, 4, seed=2)).any()


@pytest.mark.parametrize(("members", "lacking"), [(2, "2 members"), (18, "2 non-members")])
def test_too_few_records_for_the_folds_are_an_error(members, lacking):
    with pytest.raises(DistilleakError, match=f"{lacking} for 3 folds"):
        folds(np.arange(20) < members, 3, seed=0)


def test_a_single_fold_is_an_error():
    with pytest.raises(DistilleakError, match="at least 2"):
        folds(np.arange(20) < 10, 1, seed=0)


def test_a_fold_without_members_is_an_error():
    with pytest.raises(DistilleakError, match="0 members in the smallest of 2 folds"):
        cross_fitted(np.zeros(4), np.array([True, True, False, False]), np.array([0, 0, 0, 1]))


@pytest.mark.parametrize("seed", range(8))
def test_cross_fitted_thresholds_agree_with_a_search_over_all_cuts(seed):
    scores, labels = example(4 + 3 * seed, 25 - 2 * seed, seed)
    fold = folds(labels, 3, seed)
    np.testing.assert_allclose(
        cross_fitted(scores, labels, fold), slow_cross_fitted(scores, labels, fold), rtol=1e-12
    )


@pytest.mark.parametrize("seed", range(4))
def test_replicates_choose_their_threshold_as_if_the_drawn_records_were_written_out(seed):
    scores, labels = example(9, 11, seed)
    fold = folds(labels, 3, seed)
    weights = bootstrap_weights(labels, 12, seed)
    decisions = cross_fitted_decisions(scores, labels, fold, weights)
    for w, decided in zip(weights, decisions, strict=True):
        drawn = np.repeat(np.arange(20), w)
        for k in range(3):
            others = drawn[fold[drawn] != k]
            threshold = slow_best_threshold(scores[others], labels[others])
            kept = (fold == k) & (w > 0)
            np.testing.assert_array_equal(decided[kept], scores[kept] > threshold)


def test_a_threshold_does_not_depend_on_the_labels_of_its_own_fold():
    scores, labels = example(30, 30, seed=5)
    fold = folds(labels, 3, seed=5)
    swapped = labels.copy()
    swapped[fold == 1] = ~swapped[fold == 1]
    np.testing.assert_array_equal(
        cross_fitted(scores, labels, fold)[fold == 1],
        cross_fitted(scores, swapped, fold)[fold == 1],
    )


def test_weight_one_gives_the_cross_fitted_decisions():
    scores, labels = example(40, 60, seed=6)
    fold = folds(labels, 5, seed=6)
    decisions = cross_fitted_decisions(scores, labels, fold, np.ones((1, 100), np.int16))
    np.testing.assert_array_equal(decisions[0], scores > cross_fitted(scores, labels, fold))


def test_cross_fitted_accuracy_is_high_where_scores_separate_the_classes():
    labels = np.arange(40) < 20
    scores = labels + np.linspace(0, 0.5, 40)
    decisions = scores > cross_fitted(scores, labels, folds(labels, 5, seed=0))
    np.testing.assert_array_equal(decisions, labels)


def test_constant_scores_call_nobody_a_member():
    labels = np.arange(10) < 5
    fold = folds(labels, 2, seed=0)
    assert (cross_fitted(np.zeros(10), labels, fold) == np.inf).all()


def test_a_rare_class_is_not_decided_by_chance():
    # Five members among 500, all with the highest scores: every fold must find them.
    labels = np.arange(500) < 5
    scores = np.where(labels, 10.0, 0.0) + np.linspace(0, 1, 500)
    decisions = scores > cross_fitted(scores, labels, folds(labels, 5, seed=0))
    np.testing.assert_array_equal(decisions, labels)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30), st.floats(0, 1))
def test_at_fpr_is_the_smallest_threshold_within_the_rate(values, fpr):
    scores = np.array(values, np.float64)
    threshold = at_fpr(scores, fpr)
    assert np.mean(scores > threshold) <= fpr
    lower = scores[scores < threshold]
    if len(lower):
        assert np.mean(scores > np.nextafter(threshold, -np.inf)) > fpr


def test_at_fpr_allows_a_rate_that_is_met_exactly():
    scores = np.arange(100.0)
    assert at_fpr(scores, 0.29) == 70.0
    assert np.mean(scores > 70) == 0.29


def test_at_fpr_zero_is_the_highest_score_and_one_is_minus_infinity():
    assert at_fpr(np.array([3.0, 1.0, 2.0]), 0.0) == 3.0
    assert at_fpr(np.array([3.0, 1.0, 2.0]), 1.0) == -np.inf


@pytest.mark.parametrize(
    ("scores", "fpr", "message"),
    [([], 0.1, "0 non-member scores"), ([np.nan, 1], 0.1, "1 of them NaN"), ([1], 1.5, "rate 1.5")],
)
def test_at_fpr_refuses_what_has_no_answer(scores, fpr, message):
    with pytest.raises(DistilleakError, match=message):
        at_fpr(np.array(scores, np.float64), fpr)
