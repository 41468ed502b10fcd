"""The frontier of trivial alternatives, and what a student leaks beyond it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distilleak.metrics import frontier

numbers = st.integers(0, 6).map(float)
clouds = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=9)


@given(clouds)
def test_the_front_holds_the_unbeaten(points):
    loss, leakage = np.array(points).T
    found = frontier.front(loss, leakage)
    assert np.all(np.diff(loss[found]) > 0)
    assert np.all(np.diff(leakage[found]) < 0)
    for row in range(len(points)):
        beaten = (loss <= loss[row]) & (leakage <= leakage[row])
        strictly = beaten & ((loss < loss[row]) | (leakage < leakage[row]))
        assert (row in found) <= (not strictly.any())
        # Among equal points, a single one represents all.
        assert any(loss[f] <= loss[row] and leakage[f] <= leakage[row] for f in found)


@given(clouds, st.floats(0, 6))
def test_no_toss_between_two_alternatives_beats_the_hull(points, target):
    loss, leakage = np.array(points).T
    at = frontier.place(target, loss, leakage)
    best = (1 - at.share) * leakage[at.left] + at.share * leakage[at.right]
    if not at.inside:
        assert not loss.min() <= target <= loss[frontier.hull(loss, leakage)[-1]]
        return
    for a in range(len(points)):
        for b in range(len(points)):
            if loss[a] <= target <= loss[b]:
                share = 0.0 if loss[a] == loss[b] else (target - loss[a]) / (loss[b] - loss[a])
                assert best <= (1 - share) * leakage[a] + share * leakage[b] + 1e-9


@given(clouds)
def test_the_hull_is_convex_and_on_the_front(points):
    loss, leakage = np.array(points).T
    found = frontier.hull(loss, leakage)
    assert set(found) <= set(frontier.front(loss, leakage))
    slopes = np.diff(leakage[found]) / np.diff(loss[found])
    assert np.all(slopes < 0)
    assert np.all(np.diff(slopes) > 0)


LOSS = np.array([3.0, 3.2, 3.1, 3.6, 3.3])
LEAKAGE = np.array([0.9, 0.7, 0.95, 0.6, 0.69])
"""The third leaks more than the first and is less useful; the last is beaten by a toss."""


@pytest.mark.parametrize(
    ("target", "left", "right", "share", "slope", "inside"),
    [
        (2.5, 0, 0, 0, 0, False),
        (3.0, 0, 0, 0, 0, True),
        (3.05, 0, 1, 0.25, -1.0, True),
        (3.3, 1, 3, 0.25, -0.25, True),
        (3.6, 1, 3, 1, -0.25, True),
        (4.0, 3, 3, 0, 0, False),
    ],
)
def test_a_loss_lies_between_two_alternatives_of_the_hull(
    target, left, right, share, slope, inside
):
    at = frontier.place(target, LOSS, LEAKAGE)
    assert (at.left, at.right, at.inside) == (left, right, inside)
    assert (at.share, at.slope) == pytest.approx((share, slope))


def test_a_toss_between_two_alternatives_has_no_excess():
    share = np.array([0.0, 0.25, 0.9, 1.0])
    losses, leakages = np.tile(LOSS[:, None], 4), np.tile(LEAKAGE[:, None], 4)
    loss = (1 - share) * LOSS[1] + share * LOSS[3]
    leakage = (1 - share) * LEAKAGE[1] + share * LEAKAGE[3]
    at = frontier.place(3.3, LOSS, LEAKAGE)
    found = frontier.excess(loss, leakage, losses, leakages, at)
    np.testing.assert_allclose(found, 0, atol=1e-12)
    more = frontier.excess(loss, leakage + 0.05, losses, leakages, at)
    np.testing.assert_allclose(more, 0.05)


def test_a_difference_in_loss_is_corrected_along_the_slope():
    columns = np.array([3.0, 3.2])[:, None], np.array([0.9, 0.7])[:, None]
    at = frontier.Place(0, 1, 0.5, -1.0, True)
    for loss, expected in ((3.1, 0.0), (3.15, 0.05), (3.0, -0.1)):
        found = frontier.excess(np.array([loss]), np.array([0.8]), *columns, at)
        np.testing.assert_allclose(found, [expected], atol=1e-12)


def test_one_alternative_is_compared_with_directly():
    columns = np.array([[3.0, 3.1]]), np.array([[0.9, 0.8]])
    at = frontier.Place(0, 0, 0.0, 0.0, False)
    found = frontier.excess(np.array([4.0, 4.0]), np.array([0.5, 0.6]), *columns, at)
    np.testing.assert_allclose(found, [-0.4, -0.2])


def test_the_mean_over_other_seeds_leaves_the_seed_out():
    np.testing.assert_allclose(frontier.others_mean(np.array([1.0, 2.0, 6.0])), [4, 3.5, 1.5])
    np.testing.assert_allclose(frontier.others_mean(np.array([7.0])), [7])


def test_the_strongest_attack_is_picked_on_the_other_seeds():
    values = np.array([[0.9, 0.5, 0.5], [0.6, 0.6, 0.6]])
    # The first attack wins only because of its first seed, on which it is not picked.
    assert frontier.strongest(values).tolist() == [1, 0, 0]
    assert frontier.strongest(values[:, :1]).tolist() == [0]


def test_picking_on_other_seeds_does_not_flatter_the_alternatives():
    """The alternatives differ only by chance. Compared with the best of them, picked on the same
    numbers, a student of the same kind seems to leak more; picked on other seeds, it does not."""
    rng = np.random.default_rng(0)
    crossed, same = [], []
    for _ in range(400):
        leakages = 0.7 + 0.02 * rng.normal(size=(8, 5))
        losses = np.tile(np.linspace(3.0, 3.1, 8)[:, None], 5)
        leakage = 0.7 + 0.02 * rng.normal(size=5)
        means = frontier.others_mean(leakages)
        for seed in range(5):
            here = slice(seed, seed + 1)
            for found, by in ((crossed, means[:, seed]), (same, leakages[:, seed])):
                at = frontier.place(3.2, losses[:, seed], by)
                found += list(
                    frontier.excess(
                        np.array([3.2]), leakage[here], losses[:, here], leakages[:, here], at
                    )
                )
    error = 0.02 * np.sqrt(2 / len(crossed))
    assert abs(np.mean(crossed)) < 4 * error
    assert np.mean(same) > 20 * error


def test_the_comparison_keeps_its_level_where_alternatives_are_crowded_and_losses_noisy():
    """Thirteen alternatives on a steep line, closer to each other than their losses vary."""
    rng = np.random.default_rng(1)
    losses_true = 5.5 + 0.015 * np.arange(13)
    rejected = 0
    studies = 600
    for _ in range(studies):
        losses = losses_true[:, None] + 0.01 * rng.normal(size=(13, 5))
        leakages = 0.96 - 0.65 * (losses_true - 5.5)[:, None] + 0.004 * rng.normal(size=(13, 5))
        loss = 5.595 + 0.01 * rng.normal(size=5)
        leakage = 0.96 - 0.65 * 0.095 + 0.004 * rng.normal(size=5)
        means = [frontier.others_mean(values) for values in (loss, losses, leakages)]
        found = [
            frontier.excess(
                loss[seed : seed + 1],
                leakage[seed : seed + 1],
                losses[:, seed : seed + 1],
                leakages[:, seed : seed + 1],
                frontier.place(means[0][seed], means[1][:, seed], means[2][:, seed]),
            )[0]
            for seed in range(5)
        ]
        rejected += stats.ttest_1samp(found, 0).pvalue < 0.05
    assert rejected / studies < 0.10
