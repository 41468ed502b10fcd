"""All the metrics of one attack on one model."""

import subprocess
import sys
import time

import numpy as np
import pytest
from replicates import auc, resampled, weights

from distilleak.errors import DistilleakError
from distilleak.metrics.bootstrap import interval
from distilleak.metrics.measure import measure, measure_exactly, measure_seen
from distilleak.metrics.thresholds import cross_fitted, folds

ACCURACIES = ["balanced_accuracy", "member_accuracy", "nonmember_accuracy"]


def example(n=400, shift=0.8, seed=0, replicates=200):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) < n // 2)
    scores = rng.normal(size=n) + shift * labels
    return scores, labels, folds(labels, 5, seed), weights(labels, replicates, seed)


def estimates(scores, labels, fold, w, fixed):
    return resampled(measure(scores, labels, fold, fixed), w)


def apart(scores, labels, seen, fold, w):
    return resampled(measure_seen(scores, labels, seen, fold), w)


def measured(*arguments):
    return {(m.metric, m.threshold): m for m in estimates(*arguments)}


def test_measure_reports_every_metric_once():
    found = estimates(*example(), None)
    assert [(m.metric, m.threshold) for m in found] == [
        ("auc", ""),
        ("tpr_at_fpr_0.01", ""),
        *((metric, "cross_fitted") for metric in ACCURACIES),
        *((metric, "oracle") for metric in ACCURACIES),
    ]
    assert all(m.replicates.shape == (200,) for m in found)


def test_values_are_the_rates_on_the_records_themselves():
    scores, labels, fold, w = example()
    found = measured(scores, labels, fold, w, None)
    decisions = scores > cross_fitted(scores, labels, fold)
    assert found["member_accuracy", "cross_fitted"].value == pytest.approx(decisions[labels].mean())
    assert found["nonmember_accuracy", "cross_fitted"].value == pytest.approx(
        (~decisions[~labels]).mean()
    )
    wins = (scores[labels][:, None] > scores[~labels]).mean()
    assert found["auc", ""].value == pytest.approx(wins)


def test_replicates_scatter_around_the_value():
    for m in estimates(*example(), None):
        spread = m.replicates.std()
        assert abs(m.replicates.mean() - m.value) < max(spread, 0.01), m.metric


def test_balanced_accuracy_is_the_mean_of_member_and_nonmember_accuracy():
    found = measured(*example(), None)
    for threshold in ("cross_fitted", "oracle"):
        balanced, member, nonmember = (found[metric, threshold] for metric in ACCURACIES)
        np.testing.assert_allclose(
            balanced.replicates, (member.replicates + nonmember.replicates) / 2
        )


def test_on_pure_noise_cross_fitted_accuracy_is_one_half_and_the_oracle_sees_more():
    crossed, oracle = [], []
    for seed in range(60):
        found = measured(*example(n=300, shift=0, seed=seed, replicates=1), None)
        crossed.append(found["balanced_accuracy", "cross_fitted"].value)
        oracle.append(found["balanced_accuracy", "oracle"].value)
    assert abs(np.mean(crossed) - 0.5) < 0.015
    assert min(oracle) > 0.5
    assert 0.52 < np.mean(oracle) < 0.58


def test_an_attack_that_is_worse_than_chance_is_reported_so():
    scores, labels, fold, w = example()
    backward = measured(-scores, labels, fold, w, None)["auc", ""]
    forward = measured(scores, labels, fold, w, None)["auc", ""]
    assert backward.value < 0.35
    assert interval(backward.replicates)[1] < 0.5
    np.testing.assert_allclose(backward.replicates, 1 - forward.replicates, atol=1e-12)


def test_shuffled_labels_lie_within_the_interval_around_one_half():
    scores, labels, fold, w = example(shift=3)
    shuffled = np.random.default_rng(9).permutation(labels)
    found = measured(scores, shuffled, folds(shuffled, 5, 0), weights(shuffled, 300, 0), None)
    low, high = interval(found["auc", ""].replicates)
    assert low < 0.5 < high
    assert measured(scores, labels, fold, w, None)["auc", ""].value > 0.95


def test_a_perfect_attack_has_no_spread():
    labels = np.arange(100) < 50
    scores, fold = labels.astype(float), folds(labels, 5, 0)
    found = estimates(scores, labels, fold, weights(labels, 50, 0), None)
    for m in found:
        assert m.value == 1.0, m.metric
        np.testing.assert_array_equal(m.replicates, 1.0)


def test_a_fixed_threshold_replaces_the_cross_fitted_one():
    labels = np.array([True, True, True, False, False, False])
    votes = np.array([1.0, 0.6, 0.5, 0.5, 0.4, 0.8])  # 0.5 is not above 0.5
    found = measured(votes, labels, folds(labels, 2, 0), weights(labels, 20, 0), 0.5)
    assert [key for key in found if key[1] not in ("", "oracle")] == [
        (metric, "majority") for metric in ACCURACIES
    ]
    assert found["member_accuracy", "majority"].value == pytest.approx(2 / 3)
    assert found["nonmember_accuracy", "majority"].value == pytest.approx(2 / 3)


def test_equal_arguments_give_equal_measurements():
    for a, b in zip(estimates(*example(), None), estimates(*example(), None), strict=True):
        assert a.value == b.value
        np.testing.assert_array_equal(a.replicates, b.replicates)


def test_a_monotone_transformation_of_the_scores_changes_no_rank_metric():
    scores, labels, fold, w = example()
    plain, moved = (measured(s, labels, fold, w, None) for s in (scores, np.exp(scores)))
    for key in plain:
        if key[1] != "cross_fitted":  # midpoints between scores change
            np.testing.assert_array_equal(plain[key].replicates, moved[key].replicates)


def test_a_nan_score_is_an_error():
    scores, labels, fold, w = example()
    scores[7] = np.nan
    with pytest.raises(DistilleakError, match="record number 7"):
        estimates(scores, labels, fold, w, None)


def test_seen_and_unseen_members_are_measured_separately():
    scores, labels, fold, w = example()
    seen = np.random.default_rng(0).random(len(labels)) < 0.3
    scores = scores + 2 * (labels & seen)
    found = {m.metric: m for m in apart(scores, labels, seen, fold, w)}
    assert list(found) == [
        "auc_seen",
        "auc_unseen",
        "member_accuracy_seen",
        "member_accuracy_unseen",
    ]
    decisions = scores > cross_fitted(scores, labels, fold)
    for side, members in (("seen", labels & seen), ("unseen", labels & ~seen)):
        kept = members | ~labels
        area = auc(scores[kept], labels[kept], w[:, kept])
        np.testing.assert_allclose(found["auc_" + side].replicates, area)
        accuracy = found["member_accuracy_" + side]
        assert accuracy.threshold == "cross_fitted"
        assert accuracy.value == pytest.approx(decisions[members].mean())


def test_seen_and_unseen_accuracy_add_up_to_member_accuracy():
    scores, labels, fold, w = example()
    seen = np.random.default_rng(0).random(len(labels)) < 0.3
    parts = {m.metric: m for m in apart(scores, labels, seen, fold, w)}
    whole = measured(scores, labels, fold, w, None)["member_accuracy", "cross_fitted"]
    share = w[:, labels & seen].sum(axis=1) / w[:, labels].sum(axis=1)
    np.testing.assert_allclose(
        whole.replicates,
        share * parts["member_accuracy_seen"].replicates
        + (1 - share) * parts["member_accuracy_unseen"].replicates,
    )


@pytest.mark.parametrize(("everyone", "side"), [(True, "seen"), (False, "unseen")])
def test_a_side_without_members_is_left_out(everyone, side):
    scores, labels, fold, w = example()
    found = apart(scores, labels, np.full(len(labels), everyone), fold, w)
    assert [m.metric for m in found] == ["auc_" + side, "member_accuracy_" + side]


def test_a_replicate_that_draws_no_unseen_member_is_undefined():
    scores, labels, fold, w = example()
    only = int(np.flatnonzero(labels)[0])
    unseen = {
        m.metric: m
        for m in apart(scores, labels, np.arange(len(labels)) != only, fold, w)
        if m.metric.endswith("unseen")
    }
    for m in unseen.values():
        np.testing.assert_array_equal(np.isnan(m.replicates), w[:, only] == 0)
        assert np.isfinite(interval(m.replicates)).all()


def test_two_thousand_records_and_a_thousand_replicates_take_a_fraction_of_a_second():
    arguments = example(n=2000, replicates=1000)
    started = time.process_time()
    estimates(*arguments, None)
    assert time.process_time() - started < 1.0  # 0.15 s on one core of a small server


def test_importing_the_metrics_loads_no_heavy_library():
    code = (
        "import sys, distilleak.metrics.measure, distilleak.metrics.utility, "
        "distilleak.metrics.compare;"
        "print([m for m in ('torch', 'pandas', 'sklearn', 'scipy.stats') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def exactly(scores, labels, delta=0.0, guess_share=0.25):
    found = measure_exactly(scores, labels, delta, guess_share, 0)
    return {(m.metric, m.threshold): m for m in found}


def test_tpr_is_refused_where_too_few_non_members_decide():
    """200 non-members allow 2 false positives at 1 % and none at 0.1 %."""
    scores, labels, *_ = example()
    found = exactly(scores, labels)
    assert np.isnan(found["tpr_at_fpr_0.001", ""].value)
    assert np.isnan(found["tpr_at_fpr_0.001_exact", ""].value)
    assert np.isnan(found["tpr_at_fpr_0.01_exact", ""].value)
    assert ("tpr_at_fpr_0.01", "") not in found  # `measure` reports it


def test_tpr_is_reported_if_there_are_enough_non_members():
    scores, labels, fold, w = example(n=20_000, replicates=100)
    sampled, found = measured(scores, labels, fold, w, None), exactly(scores, labels)
    for target in ("0.01", "0.001"):
        metric = f"tpr_at_fpr_{target}"
        exact = found[f"{metric}_exact", ""]
        assert exact.value == sampled[metric, ""].value
        assert exact.exact[0] < exact.value < exact.exact[1]
        assert (metric, "") not in found


def test_the_two_intervals_of_an_auc_agree():
    scores, labels, fold, w = example(n=2000, replicates=1000)
    sampled, found = measured(scores, labels, fold, w, None), exactly(scores, labels)
    assert found["auc_delong", ""].value == pytest.approx(sampled["auc", ""].value)
    percentiles = np.quantile(sampled["auc", ""].replicates, [0.025, 0.975])
    np.testing.assert_allclose(found["auc_delong", ""].exact, percentiles, atol=0.004)


def test_epsilon_is_high_for_informative_scores_and_zero_for_noise():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(2000) < 1000)
    told = exactly(labels + rng.normal(0, 0.01, 2000), labels)
    noise = exactly(rng.normal(size=2000), labels)
    for audit in ("held_out", "one_run"):
        assert told["epsilon", audit].value > 4
        assert told["epsilon", audit].exact[0] == told["epsilon", audit].value
        assert noise["epsilon", audit].value < 0.1


def test_the_one_run_audit_makes_as_many_guesses_as_were_fixed_in_advance():
    """All are right: the highest epsilon at which that many right guesses have probability 0.05."""
    scores, labels = np.arange(400.0), np.arange(400) >= 200
    for share, guesses in ((0.1, 40), (0.25, 100)):
        bound = exactly(scores, labels, guess_share=share)["epsilon", "one_run"].value
        right = 0.05 ** (1 / guesses)
        assert bound == pytest.approx(np.log(right / (1 - right)), abs=1e-9)
