"""The strongest of several attacks: picked, and with an interval that allows for it."""

import math

import numpy as np
import pytest
from replicates import auc, weights
from scipy import stats

from distilleak.errors import DistilleakError
from distilleak.metrics.picking import POWER, strongest


def picked(values, replicates, members=1000, nonmembers=800):
    seeds = values.shape[1]
    return strongest(values, replicates, np.full(seeds, members), np.full(seeds, nonmembers))


def drawn(rng, values, errors, seeds=1, count=400):
    """Values with sampling noise of `errors`, and replicates that show how large it is."""
    values = np.asarray(values)[:, None] + rng.normal(0, errors, (len(values), seeds))
    return values, values[:, :, None] + rng.normal(0, errors, (*values.shape, count))


def test_against_a_plain_computation():
    rng = np.random.default_rng(3)
    values, replicates = drawn(rng, [0.55, 0.61, 0.58], 0.02, seeds=2)
    found = picked(values, replicates)
    lows = []
    for value, drawn_of in zip(values, replicates, strict=True):
        variance = sum(float(np.var(seed, ddof=1)) for seed in drawn_of)
        error = math.sqrt(variance) / 2
        quantile = stats.norm.ppf(1 - 0.05 / 3 / 2)
        lows.append((sum(value) / 2, error, sum(value) / 2 - quantile * error))
    best = max(range(3), key=lambda number: lows[number][2])
    value, error, low = lows[best]
    assert found.attack == best == 1
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.low == pytest.approx(low, rel=1e-12)
    assert found.high == pytest.approx(2 * value - low, rel=1e-12)
    at_chance = math.sqrt(2 * 1801 / 12 / 1000 / 800) / 2
    assert found.reach == pytest.approx((quantile + stats.norm.ppf(POWER)) * at_chance, rel=1e-12)


def test_an_attack_far_below_chance_is_turned_and_picked():
    rng = np.random.default_rng(11)
    values, replicates = drawn(rng, [0.55, 0.3, 0.5], 0.01)
    found = picked(values, replicates)
    assert found.attack == 1
    assert found.turned
    mirrored = picked(1 - values, 1 - replicates)
    assert not mirrored.turned
    assert (found.value, found.low, found.high) == pytest.approx(
        (mirrored.value, mirrored.low, mirrored.high), rel=1e-12
    )
    assert found.value == pytest.approx(1 - float(values[1, 0]), rel=1e-12)


def test_one_attack_has_the_interval_of_the_normal_distribution():
    rng = np.random.default_rng(0)
    values, replicates = drawn(rng, [0.6], 0.02)
    found = picked(values, replicates)
    error = replicates[0, 0].std(ddof=1)
    assert found.high - found.value == pytest.approx(1.959964 * error, rel=1e-6)


@pytest.mark.parametrize("seeds", [1, 3])
def test_among_many_attacks_that_find_nothing_one_is_called_a_leak_in_5_percent_at_most(seeds):
    rng = np.random.default_rng(seeds)
    rounds, alarms = 600, 0
    for _ in range(rounds):
        values, replicates = drawn(rng, [0.5] * 16, 0.03, seeds=seeds, count=200)
        alarms += picked(values, replicates).low > 0.5
    # Within 4 standard errors of Bonferroni's level, on both sides of chance together.
    assert alarms / rounds < 0.05 + 4 * math.sqrt(0.05 * 0.95 / rounds)


def test_picking_without_a_correction_would_raise_the_alarm_often():
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(200):
        values, replicates = drawn(rng, [0.5] * 16, 0.03, count=200)
        alarms += any(
            picked(values[[row]], replicates[[row]]).low > 0.5 for row in range(len(values))
        )
    assert alarms / 200 > 0.2


def test_a_leak_of_the_reach_is_found_with_the_power():
    rng = np.random.default_rng(7)
    members, nonmembers = 60, 90
    reach = picked(*drawn(rng, [0.5] * 8, 0.03), members, nonmembers).reach
    # Normal scores whose shift gives that AUC: AUC = Phi(shift / sqrt(2)).
    shift = math.sqrt(2) * stats.norm.ppf(0.5 + reach)
    label = np.arange(members + nonmembers) < members
    found = 0
    for _ in range(300):
        scores = rng.normal(0, 1, (8, label.size))
        scores[0] += shift * label
        rows = np.vstack(
            [np.ones(label.size, np.int16), weights(label, 200, int(rng.integers(9999)))]
        )
        aucs = np.stack([auc(row, label, rows) for row in scores])
        values, drawn_aucs = aucs[:, :1], aucs[:, None, 1:]
        found += picked(values, drawn_aucs, members, nonmembers).low > 0.5
    assert abs(found / 300 - POWER) < 0.08


def test_an_attack_whose_scores_tie_does_not_make_the_study_look_sensitive():
    rng = np.random.default_rng(4)
    values, replicates = drawn(rng, [0.5, 0.5], 0.03)
    tied = np.full((1, 1, 400), 0.5) + rng.normal(0, 0.0001, (1, 1, 400))
    replicates = np.concatenate([replicates[:1], tied])
    assert picked(values, replicates).reach > 0.03


def test_an_attack_with_a_narrow_interval_is_picked_before_a_larger_but_uncertain_one():
    rng = np.random.default_rng(1)
    values = np.array([[0.70], [0.65]])
    replicates = values[:, :, None] + rng.normal(0, [[[0.2]], [[0.01]]], (2, 1, 500))
    assert picked(values, replicates).attack == 1


def test_intervals_stay_within_what_an_auc_can_be():
    rng = np.random.default_rng(2)
    values, replicates = drawn(rng, [0.99], 0.05)
    found = picked(values, replicates)
    assert found.high <= 1


@pytest.mark.parametrize(
    ("values", "replicates", "message"),
    [
        (np.empty((0, 1)), np.empty((0, 1, 5)), "needed: a value of each attack and seed"),
        (np.full((2, 1), 0.5), np.full((1, 1, 5), 0.5), "needed: a value of each attack and seed"),
        (np.full((1, 1), 0.5), np.full((1, 1, 5), np.nan), "fewer than two defined replicates"),
        (np.full((1, 1), np.nan), np.full((1, 1, 5), 0.5), "the value of an attack is NaN"),
    ],
)
def test_bad_input_is_refused(values, replicates, message):
    with pytest.raises(DistilleakError, match=message):
        picked(values, replicates)
