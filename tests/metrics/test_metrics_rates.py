"""Error rates compared with loops over pairs and thresholds, and with scikit-learn."""

from fractions import Fraction

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from replicates import accuracies, auc, oracle, tpr_at_fpr

from distilleak.errors import DistilleakError
from distilleak.metrics import rates, sweep
from distilleak.metrics.rates import Ranking, roc_curve
from distilleak.metrics.sweep import Area, Sweep


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
    area = auc(scores, labels, w[None])
    np.testing.assert_allclose(area, [slow_auc(scores, labels, w)], atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(weighted_scores(), st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.7, 1.0]))
def test_tpr_at_fpr_is_the_largest_tpr_at_or_under_the_target(data, target):
    scores, labels, w = data
    expected = [slow_tpr_at_fpr(scores, labels, w, target)]
    tpr = Ranking.of(scores, labels).tpr_at_fpr(w[None], target)
    np.testing.assert_allclose(tpr, expected, atol=1e-12)
    np.testing.assert_array_equal(tpr_at_fpr(scores, labels, w[None], target), tpr)


@settings(max_examples=150, deadline=None)
@given(weighted_scores())
def test_oracle_is_the_best_threshold_and_the_highest_of_equals(data):
    scores, labels, w = data
    found = oracle(scores, labels, w[None])[:, 0]
    np.testing.assert_allclose(found, slow_oracle(scores, labels, w), atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(weighted_scores())
def test_the_best_threshold_reaches_the_oracle_rates(data):
    scores, labels, w = data
    threshold = Ranking.of(scores, labels).best_threshold(w[None])[0]
    np.testing.assert_allclose(
        accuracies(scores, labels, w[None], threshold), oracle(scores, labels, w[None]), atol=1e-12
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
    written_out = scores.repeat(w), labels.repeat(w)
    for rate in (auc, oracle):
        np.testing.assert_array_equal(rate(scores, labels, w[None]), rate(*written_out, ones))
    weighted, repeated = Ranking.of(scores, labels), Ranking.of(*written_out)
    assert weighted.tpr_at_fpr(w[None], 0.2) == repeated.tpr_at_fpr(ones, 0.2)
    assert weighted.best_threshold(w[None]) == repeated.best_threshold(ones)


def test_auc_agrees_with_scikit_learn_on_ties_and_weights():
    scores, labels, weights = example()
    expected = [sklearn.metrics.roc_auc_score(labels, scores, sample_weight=w) for w in weights]
    np.testing.assert_allclose(auc(scores, labels, weights), expected, atol=1e-12)


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
    np.testing.assert_allclose(oracle(scores, labels, weights)[0], best, atol=1e-12)


def test_results_do_not_depend_on_the_chunk_size(monkeypatch):
    scores, labels, weights = example()

    def everything():
        ranking = Ranking.of(scores, labels)
        return np.stack(
            [
                auc(scores, labels, weights),
                tpr_at_fpr(scores, labels, weights, 0.05),
                ranking.tpr_at_fpr(weights, 0.05),
                *oracle(scores, labels, weights),
                ranking.best_threshold(weights),
                *accuracies(scores, labels, weights, 0),
            ]
        )

    at_once = everything()
    for module in (rates, sweep):
        monkeypatch.setattr(module, "_CHUNK", 1)
    np.testing.assert_array_equal(everything(), at_once)


def test_an_inverted_score_has_an_auc_below_one_half():
    labels = np.arange(20) < 10
    assert auc(-labels.astype(float), labels, np.ones((1, 20), np.int16)) == 0.0


def test_negating_the_scores_gives_one_minus_the_auc():
    scores, labels, weights = example()
    np.testing.assert_allclose(
        auc(-scores, labels, weights),
        1 - auc(scores, labels, weights),
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
    assert auc(scores, labels, ones)[0] == pytest.approx(slow_auc(scores, labels, ones[0]))
    assert ranking.tpr_at_fpr(ones, 0.01)[0] == 0.0
    assert oracle(scores, labels, ones)[1][0] == 1.0


def test_constant_scores_are_uninformative():
    labels = np.arange(6) < 2
    ranking = Ranking.of(np.zeros(6), labels)
    ones = np.ones((1, 6), np.int16)
    assert auc(np.zeros(6), labels, ones) == 0.5
    assert ranking.tpr_at_fpr(ones, 0.5) == 0.0
    assert oracle(np.zeros(6), labels, ones)[0] == 0.5
    assert ranking.best_threshold(ones) == np.inf


def test_one_member_and_one_nonmember_are_enough():
    scores, labels = np.array([1.0, 0.0]), np.array([True, False])
    ranking = Ranking.of(scores, labels)
    ones = np.ones((1, 2), np.int16)
    assert auc(scores, labels, ones) == 1.0
    assert ranking.tpr_at_fpr(ones, 0.001) == 1.0
    assert ranking.best_threshold(ones) == 0.5


def test_a_threshold_between_neighbouring_floats_still_separates_them():
    scores = np.array([np.nextafter(1.0, 2), 1.0])
    labels = np.array([True, False])
    threshold = Ranking.of(scores, labels).best_threshold(np.ones((1, 2), np.int16))[0]
    assert list(scores > threshold) == [True, False]


def test_a_replicate_that_lacks_a_class_is_undefined():
    scores, labels = np.array([1.0, 0.0]), np.array([True, False])
    ranking = Ranking.of(scores, labels)
    lacking = np.array([[1, 0], [0, 1]], np.int16)
    assert np.isnan(auc(scores, labels, lacking)).all()
    assert np.isnan(ranking.tpr_at_fpr(lacking, 0.5)).all()
    assert np.isnan(tpr_at_fpr(scores, labels, lacking, 0.5)).all()
    assert np.isnan(oracle(scores, labels, lacking)[0]).all()
    assert np.isnan(accuracies(scores, labels, lacking, 0.5)[0]).all()
    assert (ranking.best_threshold(lacking) == np.inf).all()


def test_a_ranking_among_some_records_ignores_the_others():
    scores, labels, weights = example()
    among = np.arange(len(scores)) % 3 > 0
    part = Ranking.of(scores[among], labels[among])
    np.testing.assert_array_equal(
        Ranking.of(scores, labels, among=among).tpr_at_fpr(weights, 0.2),
        part.tpr_at_fpr(weights[:, among], 0.2),
    )


def test_accuracies_count_the_right_decisions_of_each_class():
    labels = np.array([True, True, False, False])
    scores = np.array([0.9, 0.2, 0.1, 0.5])  # 0.5 is not above 0.5
    weights = np.array([[1, 3, 1, 1], [1, 1, 2, 1]], np.int16)
    balanced, member, nonmember = accuracies(scores, labels, weights, 0.5)
    assert list(member) == [0.25, 0.5]
    assert list(nonmember) == [1.0, 1.0]
    assert list(balanced) == [0.625, 0.75]
    assert [list(rate) for rate in accuracies(scores, labels, weights, 0.15)[1:]] == [
        [1.0, 1.0],
        [0.5, 2 / 3],
    ]


def between(scores, labels):
    return Area.of(scores, labels, ~labels)


def swept(scores, labels):
    return Sweep.of(scores, labels, None)


PREPARED = pytest.mark.parametrize("prepare", [Ranking.of, swept, between])


@PREPARED
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_an_error_that_names_the_record(bad, prepare):
    with pytest.raises(DistilleakError, match="record number 1"):
        prepare(np.array([0.0, bad]), np.array([True, False]))


@PREPARED
@pytest.mark.parametrize(("label", "lacking"), [(True, "no non-members"), (False, "no members")])
def test_one_class_alone_is_an_error(label, lacking, prepare):
    with pytest.raises(DistilleakError, match=lacking):
        prepare(np.zeros(3), np.full(3, label))


@PREPARED
def test_scores_and_labels_of_unequal_number_are_an_error(prepare):
    with pytest.raises(DistilleakError, match="3 scores for 2 labels"):
        prepare(np.zeros(3), np.array([True, False]))
