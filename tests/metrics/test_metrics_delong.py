"""DeLong's variance of AUCs compared with a count of all pairs, and its coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replicates import auc, weights
from scipy import stats

from distilleak.errors import DistilleakError
from distilleak.metrics.delong import auc_interval, delong

DATASETS = 1000


def slow_delong(scores, members):
    """Every member against every non-member, then the sums of equation 5 of DeLong et al. 1988."""
    x, y = scores[:, members], scores[:, ~members]
    pairs = (x[:, :, None] > y[:, None, :]) + 0.5 * (x[:, :, None] == y[:, None, :])
    aucs = np.array([sum(p.ravel()) / p.size for p in pairs])
    m, n = pairs.shape[1:]
    covariance = np.empty((len(scores), len(scores)))
    for r in range(len(scores)):
        for s in range(len(scores)):
            v10 = [(pairs[k][i].mean() - aucs[k]) for k in (r, s) for i in range(m)]
            v01 = [(pairs[k][:, j].mean() - aucs[k]) for k in (r, s) for j in range(n)]
            s10 = sum(a * b for a, b in zip(v10[:m], v10[m:], strict=True)) / (m - 1)
            s01 = sum(a * b for a, b in zip(v01[:n], v01[n:], strict=True)) / (n - 1)
            covariance[r, s] = s10 / m + s01 / n
    return aucs, covariance


def binormal(rng, n, auc, count=1):
    """Scores of n members and n non-members whose true AUC is `auc`."""
    members = np.arange(2 * n) < n
    return rng.normal(size=(count, 2 * n)) + np.sqrt(2) * stats.norm.ppf(auc) * members, members


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 3), st.integers(0, 10**6))
def test_aucs_and_covariance_are_those_of_all_pairs_ties_included(m, n, models, seed):
    rng = np.random.default_rng(seed)
    members = rng.permutation(np.arange(m + n) < m)
    scores = rng.integers(-3, 4, size=(models, m + n)) / 2
    aucs, covariance = delong(scores, members)
    expected_aucs, expected = slow_delong(scores, members)
    np.testing.assert_allclose(aucs, expected_aucs, atol=1e-12)
    np.testing.assert_allclose(covariance, expected, atol=1e-12)


def test_the_aucs_are_those_of_the_sweep():
    rng = np.random.default_rng(0)
    members = rng.random(300) < 0.4
    scores = np.round(rng.normal(size=(4, 300)) + 0.5 * members, 1)
    ones = np.ones((1, 300), np.int16)
    expected = [auc(row, members, ones)[0] for row in scores]
    np.testing.assert_allclose(delong(scores, members)[0], expected, atol=1e-12)


def test_the_standard_error_agrees_with_the_bootstrap():
    scores, members = binormal(np.random.default_rng(1), 500, 0.75)
    replicates = auc(scores[0], members, weights(members, 2000, seed=0))
    error = np.sqrt(delong(scores, members)[1][0, 0])
    assert replicates.std(ddof=1) == pytest.approx(error, rel=0.06)


@pytest.mark.parametrize(("n", "auc"), [(50, 0.5), (100, 0.75), (100, 0.9), (300, 0.6)])
def test_the_interval_covers_the_truth_in_93_to_97_percent_of_data_sets(n, auc):
    scores, members = binormal(np.random.default_rng(2), n, auc, DATASETS)
    intervals = np.array([auc_interval(row, members)[1:] for row in scores])
    covered = ((intervals[:, 0] <= auc) & (auc <= intervals[:, 1])).mean()
    assert 0.93 <= covered <= 0.97


def test_the_interval_of_a_nearly_perfect_attack_stays_a_rate_and_keeps_its_level():
    scores, members = binormal(np.random.default_rng(3), 30, 0.99, DATASETS)
    found = np.array([auc_interval(row, members) for row in scores])
    assert (found[:, 2] <= 1).all()
    assert ((found[:, 1] <= 0.99) & (found[:, 2] >= 0.99)).mean() >= 0.93


def test_a_perfect_attack_on_few_records_is_no_proof_of_perfection():
    members = np.arange(40) < 20
    auc, low, high = auc_interval(members.astype(float), members)
    # Twenty independent pairs, all won: p^20 = 0.025.
    assert (auc, low, high) == (1.0, pytest.approx(0.025 ** (1 / 20)), 1.0)
    auc, low, high = auc_interval(-members.astype(float), members)
    assert (auc, low, high) == (0.0, 0.0, pytest.approx(1 - 0.025 ** (1 / 20)))


def test_constant_scores_are_no_proof_that_all_scores_are_equal():
    # Ten independent pairs, all tied: (1 - p)^10 = 0.025, and p of all pairs may be won or lost.
    p = 1 - 0.025 ** (1 / 10)
    found = auc_interval(np.zeros(20), np.arange(20) < 10)
    assert found == (0.5, pytest.approx(0.5 - p / 2), pytest.approx(0.5 + p / 2))


def test_fifty_scores_of_ten_thousand_records_take_a_fraction_of_a_second():
    scores, members = binormal(np.random.default_rng(8), 5000, 0.6, 50)
    aucs, covariance = delong(scores, members)
    assert aucs == pytest.approx(0.6, abs=0.03)
    assert covariance.shape == (50, 50)


@pytest.mark.parametrize(
    ("scores", "members", "message"),
    [
        (np.zeros((1, 3)), [True, False], "allowed: \\(m, 2\\)"),
        (np.array([[0, np.nan, 1, 1]]), [True, True, False, False], "1 scores are not finite"),
        (np.zeros((1, 3)), [True, False, False], "1 members and 2 non-members"),
    ],
)
def test_what_has_no_variance_is_an_error(scores, members, message):
    with pytest.raises(DistilleakError, match=message):
        delong(scores, np.array(members))
