"""Means and differences over seeds, and how often their intervals cover the truth."""

import numpy as np
import pytest
from replicates import auc, stratified, weights
from scipy import stats

from distilleak.errors import DistilleakError
from distilleak.metrics.bootstrap import interval
from distilleak.metrics.seeds import difference_over_seeds, over_seeds, spread

DATASETS = 1000


def simulated(rng, seeds, between, replicates=200):
    """Values of seeds with true mean 0 and variance 1 within, and their replicates."""
    values = rng.normal(0, np.sqrt(1 + between), seeds)
    return values, values[:, None] + rng.normal(size=(seeds, replicates))


@pytest.mark.parametrize("between", [0, 1, 4])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_interval_over_seeds_covers_the_truth_in_93_to_97_percent(seeds, between):
    rng = np.random.default_rng(0)
    found = [over_seeds(*simulated(rng, seeds, between, 2)) for _ in range(DATASETS)]
    assert 0.93 <= np.mean([e.low <= 0 <= e.high for e in found]) <= 0.97


def hierarchical(replicates, rng):
    """The hierarchical bootstrap (Davison and Hinkley 1997, section 3.8): the mean over as many
    seeds as there are, drawn with replacement, of one replicate of each drawn seed."""
    seeds, count = replicates.shape
    drawn = rng.integers(seeds, size=replicates.shape), rng.integers(count, size=replicates.shape)
    return replicates[drawn].mean(axis=0)


@pytest.mark.parametrize(
    ("seeds", "between", "documented"), [(2, 1, 0.89), (2, 4, 0.80), (3, 4, 0.85)]
)
def test_the_hierarchical_bootstrap_of_few_seeds_covers_too_rarely(seeds, between, documented):
    rng = np.random.default_rng(1)
    covered = 0
    for i in range(DATASETS):
        _, replicates = simulated(rng, seeds, between)
        low, high = interval(hierarchical(replicates, np.random.default_rng(i)))
        covered += low <= 0 <= high
    assert covered / DATASETS == pytest.approx(documented, abs=0.03)


def test_the_auc_over_seeds_covers_the_mean_attack_when_models_and_records_both_differ():
    rng = np.random.default_rng(2)
    labels = np.arange(200) < 100
    shifts = rng.normal(1.0, 0.2, (DATASETS, 3))
    truth = stats.norm.expect(lambda shift: stats.norm.cdf(shift / np.sqrt(2)), loc=1.0, scale=0.2)
    ones = np.ones((1, 200), np.int16)
    covered = 0
    for dataset in shifts:
        scores = rng.normal(size=(3, 200)) + dataset[:, None] * labels
        values = np.array([auc(row, labels, ones)[0] for row in scores])
        found = over_seeds(values, np.zeros((3, 2)))
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / DATASETS <= 0.97


def test_the_auc_of_one_seed_is_covered_in_93_to_97_percent_of_data_sets():
    rng = np.random.default_rng(3)
    labels = np.arange(200) < 100
    truth = stats.norm.cdf(1 / np.sqrt(2))
    ones = np.ones((1, 200), np.int16)
    covered = 0
    for dataset in range(DATASETS):
        scores = rng.normal(size=200) + labels
        replicates = auc(scores, labels, weights(labels, 300, seed=dataset))
        found = over_seeds(auc(scores, labels, ones), replicates[None])
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / DATASETS <= 0.97


def test_the_interval_is_that_of_students_t():
    values = np.array([0.5, 0.6, 0.55, 0.7])
    found = over_seeds(values, np.zeros((4, 3)))
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.value, found.degrees) == (pytest.approx(values.mean()), 3)


@pytest.mark.parametrize("seeds", [2, 5, 10])
def test_the_interval_of_a_spread_covers_the_true_one_in_93_to_97_percent(seeds):
    rng = np.random.default_rng(6)
    found = [spread(values) for values in rng.normal(0.7, 0.02, (DATASETS, seeds))]
    assert 0.93 <= np.mean([s.low <= 0.02 <= s.high for s in found]) <= 0.97


def test_a_spread_is_the_sample_standard_deviation_and_needs_two_seeds():
    values = np.array([0.5, 0.6, 0.55, 0.7, 0.62])
    found = spread(values)
    ends = np.sqrt(4 * values.var(ddof=1) / stats.chi2.ppf([0.975, 0.025], 4))
    assert found.value == pytest.approx(values.std(ddof=1))
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert (found.low / found.value, found.high / found.value) == pytest.approx((0.6, 2.9), abs=0.1)
    assert np.isnan([*vars(spread(values[:1])).values()]).all()


def test_one_seed_keeps_the_percentile_interval_over_its_records():
    replicates = np.append(np.random.default_rng(0).random(500), np.nan)
    found = over_seeds(np.array([0.4]), replicates[None])
    assert (found.value, (found.low, found.high)) == (0.4, interval(replicates))
    assert found.standard_error == pytest.approx(np.nanstd(replicates, ddof=1))
    assert found.degrees == np.inf


def test_a_difference_over_seeds_is_a_paired_t_test():
    rng = np.random.default_rng(4)
    a = rng.normal(0.7, 0.1, 5)
    b = a - rng.normal(0.05, 0.02, 5)
    found = difference_over_seeds(a, np.zeros((5, 2)), b, np.zeros((5, 2)))
    expected = stats.ttest_rel(a, b)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.degrees == 4


def test_a_difference_of_one_seed_is_the_paired_z_test():
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.6, 0.02, (1, 500)), rng.normal(0.55, 0.02, (1, 500))
    found = difference_over_seeds(np.array([0.6]), a, np.array([0.55]), b)
    expected = 2 * stats.norm.sf(0.05 / np.std(a - b, ddof=1))
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_groups_are_resampled_each_to_its_own_number():
    groups = np.array([0] * 5 + [3] * 20 + [1] * 7)
    w = stratified(groups, 30, seed=0)
    for group in (0, 1, 3):
        assert (w[:, groups == group].sum(axis=1) == (groups == group).sum()).all()
    np.testing.assert_array_equal(w, stratified(groups, 30, seed=0))
    assert (w != stratified(groups, 30, seed=1)).any()


def test_one_value_for_each_seed_is_needed():
    with pytest.raises(DistilleakError, match="2 values for 3 seeds"):
        over_seeds(np.zeros(2), np.zeros((3, 10)))
    with pytest.raises(DistilleakError, match="0 values"):
        over_seeds(np.zeros(0), np.zeros((0, 10)))
    with pytest.raises(DistilleakError, match="same seeds"):
        difference_over_seeds(np.zeros(2), np.zeros((2, 3)), np.zeros(3), np.zeros((3, 3)))


def test_one_seed_without_defined_replicates_is_an_error():
    with pytest.raises(DistilleakError, match="1 defined"):
        over_seeds(np.array([0.5]), np.array([[0.5, np.nan]]))
