"""Intervals against limits: by formula, and how often they decide by error."""

import math

import numpy as np
import pytest
from scipy import stats

from distilleak.metrics import limits
from distilleak.metrics.attacker import attack
from distilleak.metrics.bootstrap import weights
from distilleak.metrics.limits import Estimate, Tails, tails
from distilleak.metrics.thresholds import folds

EVEN = Tails(0.025, 0.025)


def test_the_low_end_is_corrected_for_the_criteria_and_the_high_end_is_not():
    assert tails(0.95, 1) == Tails(pytest.approx(0.025), pytest.approx(0.025))
    found = tails(0.9, 5)
    assert (found.low, found.high) == pytest.approx((0.01, 0.05))


def test_a_share_includes_the_exact_interval_and_that_of_the_bootstrap():
    narrow = limits.share(0.03, np.full(100, 0.03), 200, EVEN)
    low, high = stats.beta.ppf(0.025, 6, 195), stats.beta.ppf(0.975, 7, 194)
    assert (narrow.low, narrow.high) == pytest.approx((low, high))
    wide = limits.share(0.05, np.linspace(0, 1, 101), 200, Tails(0.01, 0.2))
    assert (wide.low, wide.high) == pytest.approx((0.01, 0.8))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_share_is_never_a_point(value):
    found = limits.share(value, np.full(100, value), 60, EVEN)
    reach = 1 - 0.025 ** (1 / 60)
    expected = (0, reach) if value == 0 else (1 - reach, 1)
    assert (found.low, found.high) == pytest.approx(expected)


def slow_variance(scores, labels):
    """Of an AUC, from all pairs (DeLong et al. 1988)."""
    wins = np.array([[(m > n) + (m == n) / 2 for n in scores[~labels]] for m in scores[labels]])
    sides = (wins.mean(axis=1), wins.mean(axis=0))
    return sum(side.var(ddof=1) / len(side) for side in sides), wins.size, wins.mean()


def test_an_area_includes_delongs_interval_over_the_folds():
    rng = np.random.default_rng(0)
    strata = []
    for size in (30, 50):
        labels = np.arange(size) < size // 3
        strata.append((rng.normal(size=size) + labels, labels))
    parts = [slow_variance(*stratum) for stratum in strata]
    total = sum(pairs for _, pairs, _ in parts)
    value = sum(pairs * auc for _, pairs, auc in parts) / total
    error = math.sqrt(sum((pairs / total) ** 2 * variance for variance, pairs, _ in parts))
    reach = error / (value * (1 - value))
    logit = math.log(value / (1 - value))
    found = limits.area(value, np.full(100, value), strata, Tails(0.01, 0.05))
    ends = [logit + reach * stats.norm.ppf(0.01), logit + reach * stats.norm.ppf(0.95)]
    assert (found.low, found.high) == pytest.approx([1 / (1 + math.exp(-end)) for end in ends])
    spread = limits.area(value, np.linspace(0, 1, 101), strata, Tails(0.01, 0.05))
    assert (spread.low, spread.high) == pytest.approx((0.01, 0.95))


@pytest.mark.parametrize("value", [0.5, 1.0])
def test_an_area_is_never_a_point(value):
    labels = np.arange(40) < 20
    scores = labels * (2 * value - 1)
    found = limits.area(value, np.full(100, value), [(scores, labels)] * 2, EVEN)
    rare = 1 - 0.025 ** (1 / 40)
    assert (found.low, found.high) == pytest.approx(((1 - rare) * value, (1 - rare) * value + rare))


def test_a_paired_difference_is_that_of_the_replicates():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.6, 0.01, 400), rng.normal(0.5, 0.02, 400)
    found = limits.paired(0.6, a, 0.5, b, 100, Tails(0.01, 0.05))
    assert found.value == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(a - b, [0.01, 0.95])))


def test_two_models_that_agree_on_every_record_need_not_agree_on_all_others():
    same = np.linspace(0.4, 0.6, 100)
    found = limits.paired(0.5, same, 0.5, same, 200, EVEN)
    reach = 1 - 0.025 ** (1 / 200)
    assert (found.value, found.low, found.high) == pytest.approx((0, -reach, reach))


def test_an_unpaired_difference_adds_up_as_standard_errors_do():
    found = limits.unpaired(Estimate(0.6, 0.57, 0.64), Estimate(0.5, 0.47, 0.54))
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.05, 0.15))
    extreme = limits.unpaired(Estimate(1.0, 0.2, 1.0), Estimate(0.0, 0.0, 0.9))
    assert (extreme.low, extreme.high) == (pytest.approx(1 - math.hypot(0.8, 0.9)), 1.0)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.2, 0.4, "below"), (0.6, 0.7, "above"), (0.4, 0.6, "open"), (0.2, 0.5, "open")],
)
def test_only_a_whole_interval_decides(low, high, expected):
    assert limits.side(Estimate((low + high) / 2, low, high), 0.5) == expected
    assert limits.side(Estimate(0.5, 0.5, 0.5), 0.5) == "open"


def test_more_records_bring_the_end_to_the_limit():
    # Twice the distance: four times the records, of the larger kind.
    assert limits.more_records(Estimate(0.5, 0.46, 0.54), 0.52, 100, 300) == 900
    assert limits.more_records(Estimate(0.5, 0.44, 0.54), 0.48, 100, 100) == 800
    assert limits.more_records(Estimate(0.5, 0.44, 0.54), 0.5, 100, 100) is None


def test_as_many_more_records_decide():
    """The number is what it says: a binomial share at the same estimate is then below the limit."""
    value, limit, records = 0.03, 0.04, 1000

    def found(number):
        error = math.sqrt(value * (1 - value) / number)
        drawn = value + error * stats.norm.ppf((np.arange(20000) + 0.5) / 20000)
        return limits.share(value, drawn, number, EVEN)

    assert limits.side(found(records), limit) == "open"
    more = limits.more_records(found(records), limit, records, records)
    enough = found(records + round(1.1 * more))
    assert limits.side(enough, limit) == "below"
    assert limits.side(found(records + more // 2), limit) == "open"


RECORDS, DATASETS, CRITERIA = 300, 100, 3
LIMIT = 0.05
SHIFT = stats.norm.isf(0.01) - stats.norm.isf(LIMIT)
"""Of members' scores, normal as those of others are: the TPR at 1 % FPR is exactly `LIMIT`."""
AREA = float(stats.norm.cdf(SHIFT / math.sqrt(2)))


@pytest.fixture(scope="module")
def decisions():
    """Where intervals lie whose truth is the limit: (TPR, AUC) of each data set, as sides."""
    labels = np.arange(2 * RECORDS) < RECORDS
    fold, (drawn,) = folds(labels, 5, 0), weights(labels, 100, 0)
    ones, rng = np.ones((1, len(labels)), np.int16), np.random.default_rng(2)
    ends, found = tails(0.95, CRITERIA), []
    for _ in range(DATASETS):
        scores = rng.normal(size=(2, len(labels))) + rng.normal(size=len(labels))
        scores = scores / math.sqrt(2) + SHIFT * labels
        value, replicates = attack(scores, labels, fold, ones), attack(scores, labels, fold, drawn)
        strata = [
            (scores[number, fold == k], labels[fold == k])
            for k, number in enumerate(value.picked[0])
        ]
        tpr = limits.share(float(value.tpr[0]), replicates.tpr, RECORDS, ends)
        auc = limits.area(float(value.auc[0]), replicates.auc, strata, ends)
        found.append((limits.side(tpr, LIMIT), limits.side(auc, AREA)))
    return found


def test_a_student_on_the_limit_passes_or_fails_hardly_ever(decisions):
    """Each error has a probability of 2.5 % at most; more than 7 of 100 are unlikely."""
    most = int(stats.binom.ppf(0.99, DATASETS, 0.025))
    assert most == 7
    passed = [sum(side == "below" for side in column) for column in zip(*decisions, strict=True)]
    failed = sum("above" in sides for sides in decisions)
    assert max(passed) <= most, passed
    assert failed <= most, failed


def test_intervals_cover_the_truth(decisions):
    covered = [sum(side == "open" for side in column) for column in zip(*decisions, strict=True)]
    assert min(covered) / DATASETS >= 0.93, covered
