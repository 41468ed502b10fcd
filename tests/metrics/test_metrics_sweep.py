"""Metrics of blocks of replicates against those of the whole matrix, and the memory they take."""

import tracemalloc
from types import SimpleNamespace

import every_threshold
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replicates import accuracies, auc, cross_fitted, oracle, tpr_at_fpr, weights

from distilleak.metrics import bootstrap, rates, sweep
from distilleak.metrics.factorial import effects, groups
from distilleak.metrics.measure import measure, measure_seen, resample
from distilleak.metrics.thresholds import folds
from distilleak.metrics.utility import utility
from distilleak.scoring.measuring import privacy
from distilleak.settings.evaluation import EvaluationSettings

SCORES = {
    "noise": lambda rng, labels: rng.normal(size=labels.size),
    "informative": lambda rng, labels: rng.normal(size=labels.size) + 0.8 * labels,
    "inverted": lambda rng, labels: rng.normal(size=labels.size) - 0.8 * labels,
    "perfect": lambda rng, labels: rng.random(labels.size) + labels,
    "tied": lambda rng, labels: np.round(rng.normal(size=labels.size) + 0.5 * labels, 1),
    "votes": lambda rng, labels: np.round(rng.random(labels.size) + 0.1 * labels),
    "constant": lambda rng, labels: np.zeros(labels.size),
    "neighbouring floats": lambda rng, labels: (
        1 + np.round(4 * rng.normal(size=labels.size) + labels) * np.finfo(float).eps
    ),
    "huge": lambda rng, labels: (rng.normal(size=labels.size) + labels) * 1e307,
}


@pytest.mark.parametrize("count", [24, 500, 3000])
@pytest.mark.parametrize("name", SCORES)
def test_all_rates_equal_bit_by_bit_those_of_judging_every_threshold(name, count):
    rng = np.random.default_rng(count)
    labels = rng.permutation(np.arange(count) < count // 3)
    scores, w = SCORES[name](rng, labels), weights(labels, 25, seed=1)
    fold = folds(labels, 4, seed=1)
    equal = np.testing.assert_array_equal
    equal(auc(scores, labels, w), every_threshold.auc(scores, labels, w))
    equal(oracle(scores, labels, w), every_threshold.oracle(scores, labels, w))
    for target in (0.0, 0.001, 0.01, 0.2, 1.0):
        equal(
            tpr_at_fpr(scores, labels, w, target),
            every_threshold.tpr_at_fpr(scores, labels, w, target),
        )
    decisions = every_threshold.cross_fitted(scores, labels, fold, w)
    equal(cross_fitted(scores, labels, fold, w), decisions)
    found = {
        (m.metric, m.threshold): m for m in resample([measure(scores, labels, fold, None)], [w])[0]
    }
    expected = every_threshold.accuracies(decisions, labels, w)
    for metric, rate in zip(("balanced", "member", "nonmember"), expected, strict=True):
        equal(found[f"{metric}_accuracy", "cross_fitted"].replicates, rate)
    equal(
        accuracies(scores, labels, w, 0.5),
        every_threshold.accuracies(np.broadcast_to(scores > 0.5, w.shape), labels, w),
    )


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_few_records_with_any_weights_and_cells_of_any_size(data):
    """Also where a class is not drawn at all, in a fold or overall."""
    count = data.draw(st.integers(4, 40))
    scores = np.array(
        data.draw(st.lists(st.integers(-6, 6), min_size=count, max_size=count)), float
    )
    rest = data.draw(st.lists(st.booleans(), min_size=count - 4, max_size=count - 4))
    labels, fold = np.array([True, True, False, False, *rest]), np.arange(count) % 2
    row = st.lists(st.integers(0, 2), min_size=count, max_size=count)
    w = np.array(data.draw(st.lists(row, min_size=1, max_size=4)), np.int16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "_CELL", data.draw(st.integers(1, 9)))
        patch.setattr(sweep, "_WINDOW", data.draw(st.integers(1, 3)))
        patch.setattr(sweep, "_CHUNK", data.draw(st.integers(1, 100)))
        for found, expected in (
            (auc(scores, labels, w), every_threshold.auc(scores, labels, w)),
            (oracle(scores, labels, w), every_threshold.oracle(scores, labels, w)),
            (
                cross_fitted(scores, labels, fold, w),
                every_threshold.cross_fitted(scores, labels, fold, w),
            ),
            (
                tpr_at_fpr(scores, labels, w, 0.3),
                every_threshold.tpr_at_fpr(scores, labels, w, 0.3),
            ),
        ):
            np.testing.assert_array_equal(found, expected)


def everything(rng, count, replicates):
    """All kinds of metrics of the same records, and their draws."""
    labels, student, seen = (rng.random(count) < share for share in (0.5, 0.5, 0.3))
    labels[:12], labels[12:24], student[:24] = True, False, np.arange(24) % 2 > 0
    scores, fold = rng.normal(size=count) + 0.5 * labels, folds(labels, 5, 0)
    tokens = rng.integers(1, 50, count)
    of_members = [
        measure(scores, labels, fold, None),
        measure(scores, labels, fold, 0.5),
        measure_seen(scores, labels, seen, fold),
    ]
    of_all = [utility(-rng.exponential(2.0, count) * tokens, tokens, tokens // 2)]
    return [
        (of_members, bootstrap.weights(labels, replicates, 3)),
        (
            [effects(scores, labels, student)],
            bootstrap.stratified(groups(labels, student), replicates, 3),
        ),
        (of_all, bootstrap.weights(np.zeros(count, bool), replicates, 3)),
    ]


def test_blocks_give_bit_by_bit_what_the_whole_matrix_gives(monkeypatch):
    for wanted, draws in everything(np.random.default_rng(0), 3000, 90):
        monkeypatch.setattr(bootstrap, "_BLOCK", 2**30)
        (whole,) = draws
        at_once = resample(wanted, [whole])
        monkeypatch.setattr(bootstrap, "_BLOCK", 1)
        assert [len(block) for block in draws] == [21, 21, 21, 21, 6]
        for expected, found in zip(at_once, resample(wanted, draws), strict=True):
            for a, b in zip(expected, found, strict=True):
                assert (a.metric, a.threshold, a.value) == (b.metric, b.threshold, b.value)
                assert a.interval() == b.interval() or np.isnan(a.interval()).all()
                np.testing.assert_array_equal(a.replicates, b.replicates)


@pytest.mark.parametrize("records", [100, 2000, 2**16 + 1, 10**6, 10**8])
def test_a_block_is_bounded_or_a_single_replicate(records):
    drawn = bootstrap.Draws(records, 10**6, (), 0)
    first = next(iter(drawn))
    assert first.shape[1] == records
    assert first.nbytes <= 2**24 or len(first) == 1
    chunk = rates.chunk_rows(records)
    assert len(first) % chunk == 0  # so blocks cut no chunk


def peak(records, replicates):
    """The bytes that the metrics of an attack hold at most, and the metrics."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(records) < records // 2)
    scores = SimpleNamespace(
        teacher_member=labels,
        student_member=labels,
        attacks={"loss": rng.normal(size=records) + 0.1 * labels},
    )
    seen = rng.random(records) < 0.3
    evaluation = EvaluationSettings(replicates=replicates)
    tracemalloc.start()
    try:
        measured = list(privacy(scores, seen, evaluation, 0, majority=False))
        return tracemalloc.get_traced_memory()[1], measured
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_replicates():
    records, few, many = 20_000, 500, 1500
    first, _ = peak(records, few)
    second, measured = peak(records, many)
    assert {len(m.replicates) for _, m in measured if m.exact is None} == {many}
    # Weights are two bytes: all of them, or the larger part of those added, would not fit.
    assert second < 2 * records * many
    assert second - first < 2 * records * (many - few) / 20
