"""Bootstrap weights and intervals."""

import numpy as np
import pytest
from replicates import auc, weights

from distilleak.metrics import bootstrap, rates
from distilleak.metrics.bootstrap import interval


def test_members_and_nonmembers_keep_their_numbers_in_every_replicate():
    labels = np.arange(50) % 3 == 0
    w = weights(labels, 40, seed=0)
    assert w.shape == (40, 50)
    assert (w[:, labels].sum(axis=1) == labels.sum()).all()
    assert (w[:, ~labels].sum(axis=1) == (~labels).sum()).all()


def test_multiplicities_have_the_moments_of_draws_with_replacement():
    # Multinomial: mean 1, variance 1 - 1/m, covariance -1/m.
    w = weights(np.arange(40) < 20, 20000, seed=1)[:, :20].astype(float)
    assert w.mean(axis=0) == pytest.approx(np.ones(20), abs=0.04)
    covariance = np.cov(w.T)
    assert np.diag(covariance) == pytest.approx(np.full(20, 1 - 1 / 20), abs=0.06)
    assert covariance[~np.eye(20, dtype=bool)].mean() == pytest.approx(-1 / 20, abs=0.002)


def test_weights_are_a_pure_function_of_their_arguments(monkeypatch):
    labels = np.arange(30) < 10
    w = weights(labels, 20, seed=1)
    for size in ("_BLOCK", "_DRAWS"):
        monkeypatch.setattr(bootstrap, size, 1)
    monkeypatch.setattr(rates, "_CHUNK", 1)
    drawn = bootstrap.weights(labels, 20, seed=1)
    assert [block.shape for block in drawn] == [(1, 30)] * 20
    for _ in range(2):  # another iteration draws the same
        np.testing.assert_array_equal(np.concatenate(list(drawn)), w)
    assert (weights(labels, 20, seed=2) != w).any()


def test_more_replicates_keep_the_first_ones():
    labels = np.arange(31) < 10
    np.testing.assert_array_equal(weights(labels, 20, seed=1)[:7], weights(labels, 7, seed=1))


def test_the_strata_are_drawn_independently():
    labels = np.arange(60) < 30
    w = weights(labels, 5, seed=0)
    assert (w[:, :30] != w[:, 30:]).any()


def test_records_of_one_kind_are_one_stratum():
    w = weights(np.zeros(12, bool), 9, seed=0)
    assert (w.sum(axis=1) == 12).all()


def test_the_interval_is_that_of_the_percentiles():
    assert interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))
    assert interval(np.arange(1001.0), level=0.5) == pytest.approx((250.0, 750.0))


def test_undefined_replicates_are_left_out_of_the_interval():
    replicates = np.concatenate([np.arange(1001.0), [np.nan] * 50])
    assert interval(replicates) == pytest.approx((25.0, 975.0))
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_the_auc_interval_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    labels = np.arange(200) < 100
    truth = 0.7602  # Phi(1 / sqrt(2)): unit normals, one standard deviation apart
    covered = 0
    for dataset in range(200):
        scores = rng.normal(size=200) + labels
        replicates = auc(scores, labels, weights(labels, 200, seed=dataset))
        low, high = interval(replicates)
        covered += low <= truth <= high
    assert 0.90 <= covered / 200 <= 0.99
