"""Error rates compared with loops over pairs and thresholds, and with scikit-learn."""

from fractions import Fraction

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from distilleak.errors import DistilleakError
from distilleak.metrics import rates
from distilleak.metrics.rates import Ranking, accuracies, roc_curve


def slow_auc(scores, labels, w):
    area = total = 0.0
    for i in np.flatnonzero(labels):
        for j in np.flatnonzero(~labels):
            total += w[i] * w[j]
            if scores[i] > scores[j]:
                area += w[i] * w[j]
            elif scores[i] == scores[j]:
                area += 0.5 * w[i] * w[j]
    return area / total if total else float("nan")


def slow_points(scores, labels, w):
    """(TPR, FPR) as fractions for "score >= t", from the highest t downwards."""
    members = sum(int(x) for x in w[labels])
    nonmembers = sum(int(x) for x in w[~labels])
    points = [(Fraction(0), Fraction(0))]
    for t in sorted(set(scores), reverse=True):
        tp = sum(int(w[i]) for i in range(len(scores)) if labels[i] and scores[i] >= t)
        fp = sum(int(w[i]) for i in range(len(scores)) if not labels[i] and scores[i] >= t)
        points.append((Fraction(tp, members), Fraction(fp, nonmembers)))
    return points


def slow_tpr_at_fpr(scores, labels, w, target):
    return float(max(t for t, f in slow_points(scores, labels, w) if float(f) <= target))


def slow_oracle(scores, labels, w):
    tpr, fpr = max(slow_points(scores, labels, w), key=lambda p: p[0] - p[1])  # first of equals
    return float((tpr + 1 - fpr) / 2), float(tpr), float(1 - fpr)


@st.composite
def weighted_scores(draw):
    """A few records with tied scores, both classes, and weights that keep both classes."""
    members = draw(st.integers(1, 12))
    nonmembers = draw(st.integers(1, 12))
    n = members + nonmembers
    # Few distinct values, so that most examples have ties within and across the classes.
    scores = draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n))
    w = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    labels = draw(st.permutations([True] * members + [False] * nonmembers))
    scores, labels, w = np.array(scores) / 4, np.array(labels), np.array(w, np.int16)
    w[np.flatnonzero(labels)[0]] += 1
    w[np.flatnonzero(~labels)[0]] += 1
    return scores, labels, w


def example(n=300, seed=0, decimals=1):
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.4
    scores = np.round(rng.normal(size=n) + 0.7 * labels, decimals)
    weights = rng.integers(0, 4, size=(7, n)).astype(np.int16)
    return scores, labels, weights


@settings(max_examples=150, deadline=None)
@given(weighted_scores())
def test_auc_counts_pairs_with_ties_as_half(data):
    scores, labels, w = data
    auc = Ranking.of(scores, labels).auc(w[None])
    np.testing.assert_allclose(auc, [slow_auc(scores, labels, w)], atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(weighted_scores(), st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.7, 1.0]))
def test_tpr_at_fpr_is_the_largest_tpr_at_or_under_the_target(data, target):
    scores, labels, w = data
    tpr = Ranking.of(scores, labels).tpr_at_fpr(w[None], target)
    np.testing.assert_allclose(tpr, [slow_tpr_at_fpr(scores, labels, w, target)], atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(weighted_scores())
def test_oracle_is_the_best_threshold_and_the_highest_of_equals(data):
    scores, labels, w = data
    found = np.stack(Ranking.of(scores, labels).oracle(w[None]))[:, 0]
    np.testing.assert_allclose(found, slow_oracle(scores, labels, w), atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(weighted_scores())
def test_the_best_threshold_reaches_the_oracle_rates(data):
    scores, labels, w = data
    ranking = Ranking.of(scores, labels)
    decisions = scores > ranking.best_threshold(w[None])[0]
    np.testing.assert_allclose(
        accuracies(decisions, labels, w[None]), ranking.oracle(w[None]), atol=1e-12
    )


@settings(max_examples=100, deadline=None)
@given(weighted_scores(), st.floats(0, 1), st.floats(0, 1))
def test_tpr_at_fpr_grows_with_the_target(data, a, b):
    scores, labels, w = data
    ranking = Ranking.of(scores, labels)
    low, high = sorted((a, b))
    assert ranking.tpr_at_fpr(w[None], low)[0] <= ranking.tpr_at_fpr(w[None], high)[0]


@settings(max_examples=100, deadline=None)
@given(weighted_scores())
def test_weights_equal_repeated_records(data):
    scores, labels, w = data
    ones = np.ones((1, int(w.sum())), np.int16)
    weighted, repeated = Ranking.of(scores, labels), Ranking.of(scores.repeat(w), labels.repeat(w))
    assert weighted.auc(w[None])[0] == pytest.approx(repeated.auc(ones)[0], abs=1e-12)
    assert weighted.tpr_at_fpr(w[None], 0.2) == repeated.tpr_at_fpr(ones, 0.2)
    assert weighted.oracle(w[None]) == repeated.oracle(ones)
    assert weighted.best_threshold(w[None]) == repeated.best_threshold(ones)


def test_auc_agrees_with_scikit_learn_on_ties_and_weights():
    scores, labels, weights = example()
    expected = [sklearn.metrics.roc_auc_score(labels, scores, sample_weight=w) for w in weights]
    np.testing.assert_allclose(Ranking.of(scores, labels).auc(weights), expected, atol=1e-12)


def test_roc_curve_agrees_with_scikit_learn():
    scores, labels, _ = example()
    fpr, tpr = roc_curve(scores, labels)
    expected_fpr, expected_tpr, _ = sklearn.metrics.roc_curve(
        labels, scores, drop_intermediate=False
    )
    np.testing.assert_allclose(fpr, expected_fpr, atol=1e-12)
    np.testing.assert_allclose(tpr, expected_tpr, atol=1e-12)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)


def test_oracle_agrees_with_scikit_learn_balanced_accuracy():
    scores, labels, weights = example()
    best = [
        max(
            sklearn.metrics.balanced_accuracy_score(labels, scores > t, sample_weight=w)
            for t in [-np.inf, *np.unique(scores)]
        )
        for w in weights
    ]
    np.testing.assert_allclose(Ranking.of(scores, labels).oracle(weights)[0], best, atol=1e-12)


def test_results_do_not_depend_on_the_chunk_size(monkeypatch):
    scores, labels, weights = example()

    def everything():
        ranking = Ranking.of(scores, labels)
        return np.stack(
            [
                ranking.auc(weights),
                ranking.tpr_at_fpr(weights, 0.05),
                *ranking.oracle(weights),
                ranking.best_threshold(weights),
                *accuracies(scores > 0, labels, weights),
            ]
        )

    at_once = everything()
    monkeypatch.setattr(rates, "_CHUNK", 1)
    np.testing.assert_array_equal(everything(), at_once)


def test_an_inverted_score_has_an_auc_below_one_half():
    labels = np.arange(20) < 10
    ranking = Ranking.of(-labels.astype(float), labels)
    assert ranking.auc(np.ones((1, 20), np.int16)) == 0.0


def test_negating_the_scores_gives_one_minus_the_auc():
    scores, labels, weights = example()
    np.testing.assert_allclose(
        Ranking.of(-scores, labels).auc(weights),
        1 - Ranking.of(scores, labels).auc(weights),
        atol=1e-12,
    )


def test_tpr_at_fpr_takes_the_threshold_below_the_target_not_the_first_above():
    # FPR steps are 0, 1/2, 1: the target 0.6 allows the first false positive, not the second.
    scores = np.array([5.0, 4, 3, 2, 1])
    labels = np.array([True, False, True, False, True])
    assert Ranking.of(scores, labels).tpr_at_fpr(np.ones((1, 5), np.int16), 0.6)[0] == 2 / 3
    assert Ranking.of(scores, labels).tpr_at_fpr(np.ones((1, 5), np.int16), 0.5)[0] == 2 / 3
    assert Ranking.of(scores, labels).tpr_at_fpr(np.ones((1, 5), np.int16), 0.49)[0] == 1 / 3


def test_tpr_at_fpr_is_zero_when_every_threshold_exceeds_the_target():
    # A member and a non-member share the highest score: no threshold can separate them.
    scores = np.array([2.0, 2, 1, 1])
    labels = np.array([True, False, True, False])
    assert Ranking.of(scores, labels).tpr_at_fpr(np.ones((1, 4), np.int16), 0.01)[0] == 0.0


@pytest.mark.parametrize("percent", range(1, 100))
def test_a_target_met_exactly_is_met(percent):
    # 0.29 * 100 is 28.999999999999996 in floating point.
    labels = np.arange(200) < 100
    scores = np.concatenate([np.linspace(0, 1, 100), np.linspace(0, 1, 100) - 1e-6])
    tpr = Ranking.of(scores, labels).tpr_at_fpr(np.ones((1, 200), np.int16), percent / 100)
    assert tpr[0] == pytest.approx((percent + 1) / 100, abs=1e-12)


def test_a_rare_class_keeps_its_rates():
    scores = np.concatenate([[0.5], np.linspace(0, 1, 999)])
    labels = np.arange(1000) < 1
    ranking = Ranking.of(scores, labels)
    ones = np.ones((1, 1000), np.int16)
    assert ranking.auc(ones)[0] == pytest.approx(slow_auc(scores, labels, ones[0]))
    assert ranking.tpr_at_fpr(ones, 0.01)[0] == 0.0
    assert ranking.oracle(ones)[1][0] == 1.0


def test_constant_scores_are_uninformative():
    labels = np.arange(6) < 2
    ranking = Ranking.of(np.zeros(6), labels)
    ones = np.ones((1, 6), np.int16)
    assert ranking.auc(ones) == 0.5
    assert ranking.tpr_at_fpr(ones, 0.5) == 0.0
    assert ranking.oracle(ones)[0] == 0.5
    assert ranking.best_threshold(ones) == np.inf


def test_one_member_and_one_nonmember_are_enough():
    ranking = Ranking.of(np.array([1.0, 0.0]), np.array([True, False]))
    ones = np.ones((1, 2), np.int16)
    assert ranking.auc(ones) == 1.0
    assert ranking.tpr_at_fpr(ones, 0.001) == 1.0
    assert ranking.best_threshold(ones) == 0.5


def test_a_threshold_between_neighbouring_floats_still_separates_them():
    scores = np.array([np.nextafter(1.0, 2), 1.0])
    labels = np.array([True, False])
    threshold = Ranking.of(scores, labels).best_threshold(np.ones((1, 2), np.int16))[0]
    assert list(scores > threshold) == [True, False]


def test_a_replicate_that_lacks_a_class_is_undefined():
    ranking = Ranking.of(np.array([1.0, 0.0]), np.array([True, False]))
    lacking = np.array([[1, 0], [0, 1]], np.int16)
    assert np.isnan(ranking.auc(lacking)).all()
    assert np.isnan(ranking.tpr_at_fpr(lacking, 0.5)).all()
    assert np.isnan(ranking.oracle(lacking)[0]).all()
    assert np.isnan(accuracies(np.array([True, False]), np.array([True, False]), lacking)[0]).all()
    assert (ranking.best_threshold(lacking) == np.inf).all()


def test_a_ranking_among_some_records_ignores_the_others():
    scores, labels, weights = example()
    among = np.arange(len(scores)) % 3 > 0
    part = Ranking.of(scores[among], labels[among])
    np.testing.assert_array_equal(
        Ranking.of(scores, labels, among=among).auc(weights), part.auc(weights[:, among])
    )


def test_accuracies_count_the_right_decisions_of_each_class():
    labels = np.array([True, True, False, False])
    decisions = np.array([[True, False, False, False], [True, True, True, True]])
    weights = np.array([[1, 3, 1, 1], [1, 1, 2, 1]], np.int16)
    balanced, member, nonmember = accuracies(decisions, labels, weights)
    assert list(member) == [0.25, 1.0]
    assert list(nonmember) == [1.0, 0.0]
    assert list(balanced) == [0.625, 0.5]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_an_error_that_names_the_record(bad):
    with pytest.raises(DistilleakError, match="record number 1"):
        Ranking.of(np.array([0.0, bad]), np.array([True, False]))


@pytest.mark.parametrize(("label", "lacking"), [(True, "no non-members"), (False, "no members")])
def test_one_class_alone_is_an_error(label, lacking):
    with pytest.raises(DistilleakError, match=lacking):
        Ranking.of(np.zeros(3), np.full(3, label))


def test_scores_and_labels_of_unequal_number_are_an_error():
    with pytest.raises(DistilleakError, match="3 scores for 2 labels"):
        Ranking.of(np.zeros(3), np.array([True, False]))
