"""Held-out loss, perplexity and top-1 accuracy."""

import math

import numpy as np
import pytest
from replicates import resampled, weights

from distilleak.errors import DistilleakError
from distilleak.metrics.utility import utility


def example(n=50):
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 60, n)
    logp = [-rng.exponential(2.0, t) for t in tokens]
    correct = np.array([(x > -0.5).sum() for x in logp])
    return logp, tokens, correct, weights(np.zeros(n, bool), 30, seed=0)


def measured(*arguments):
    *records, w = arguments
    return {m.metric: m for m in resampled(utility(*records), w)}


def test_loss_is_the_mean_over_all_tokens_not_over_records():
    w = np.ones((2, 2), np.int16)
    found = measured(np.array([-3.0, -1.0]), np.array([1, 7]), np.array([0, 4]), w)
    assert found["heldout_loss"].value == pytest.approx(4 / 8)
    assert found["perplexity"].value == pytest.approx(math.exp(0.5))
    assert found["top1_accuracy"].value == pytest.approx(4 / 8)


def test_replicates_are_the_metrics_of_the_drawn_records_written_out():
    logp, tokens, correct, w = example()
    sums = np.array([x.sum() for x in logp])
    found = measured(sums, tokens, correct, w)
    for b in range(len(w)):
        drawn = np.repeat(np.arange(len(tokens)), w[b])
        every = np.concatenate([logp[i] for i in drawn])
        loss = -math.fsum(every) / len(every)
        assert found["heldout_loss"].replicates[b] == pytest.approx(loss, rel=1e-12)
        assert found["perplexity"].replicates[b] == pytest.approx(math.exp(loss), rel=1e-12)
        assert found["top1_accuracy"].replicates[b] == pytest.approx((every > -0.5).mean())


def test_utility_has_no_threshold_and_a_replicate_for_each_weight():
    logp, tokens, correct, w = example()
    found = resampled(utility(np.array([x.sum() for x in logp]), tokens, correct), w)
    assert [m.metric for m in found] == ["heldout_loss", "perplexity", "top1_accuracy"]
    assert {m.threshold for m in found} == {""}
    assert all(m.replicates.shape == (30,) for m in found)


@pytest.mark.parametrize(("logp", "tokens"), [(np.nan, 3), (-np.inf, 3), (0.0, 0)])
def test_a_record_without_a_loss_is_an_error_that_names_it(logp, tokens):
    with pytest.raises(DistilleakError, match="record number 1"):
        utility(np.array([-1.0, logp]), np.array([2, tokens]), np.array([1, 0]))
