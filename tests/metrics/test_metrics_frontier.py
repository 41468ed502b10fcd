"""The frontier of trivial alternatives, and what a student leaks beyond it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilleak.metrics import frontier

numbers = st.integers(0, 6).map(float)
clouds = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=9)


@given(clouds)
def test_the_front_holds_whom_nobody_beats(points):
    loss, leakage = np.array(points).T
    found = frontier.front(loss, leakage)
    assert np.all(np.diff(loss[found]) > 0)
    assert np.all(np.diff(leakage[found]) < 0)
    for row in range(len(points)):
        beaten = (loss <= loss[row]) & (leakage <= leakage[row])
        strictly = beaten & ((loss < loss[row]) | (leakage < leakage[row]))
        assert (row in found) <= (not strictly.any())
        # Of equal ones a single one stands for all.
        assert any(loss[f] <= loss[row] and leakage[f] <= leakage[row] for f in found)


LOSS = np.array([3.0, 3.2, 3.1, 3.6])
LEAKAGE = np.array([0.9, 0.7, 0.95, 0.6])


@pytest.mark.parametrize(
    ("target", "left", "right", "inside"),
    [
        (2.5, 0, 0, False),
        (3.0, 0, 0, True),
        (3.05, 0, 1, True),
        (3.3, 1, 3, True),
        (3.6, 1, 3, True),
        (4.0, 3, 3, False),
    ],
)
def test_neighbours_lie_on_either_side_on_the_front(target, left, right, inside):
    expected = frontier.Neighbours(left, right, inside)
    assert frontier.neighbours(target, LOSS, LEAKAGE) == expected


def test_a_toss_between_two_alternatives_has_no_excess():
    share = np.array([0.0, 0.25, 0.9, 1.0])
    losses, leakages = np.tile(LOSS[:, None], 4), np.tile(LEAKAGE[:, None], 4)
    loss = (1 - share) * LOSS[1] + share * LOSS[3]
    leakage = (1 - share) * LEAKAGE[1] + share * LEAKAGE[3]
    between = frontier.Neighbours(1, 3, True)
    found = frontier.excess(loss, leakage, losses, leakages, between)
    np.testing.assert_allclose(found, 0, atol=1e-12)
    more = frontier.excess(loss, leakage + 0.05, losses, leakages, between)
    np.testing.assert_allclose(more, 0.05)


def test_beyond_both_neighbours_the_nearer_counts():
    columns = np.array([3.0, 3.2])[:, None], np.array([0.9, 0.7])[:, None]
    between = frontier.Neighbours(0, 1, True)
    for loss, expected in ((2.0, -0.1), (9.0, 0.1)):
        found = frontier.excess(np.array([loss]), np.array([0.8]), *columns, between)
        np.testing.assert_allclose(found, [expected])


def test_one_alternative_is_compared_with_directly():
    columns = np.array([[3.0, 3.1]]), np.array([[0.9, 0.8]])
    between = frontier.Neighbours(0, 0, False)
    found = frontier.excess(np.array([4.0, 4.0]), np.array([0.5, 0.6]), *columns, between)
    np.testing.assert_allclose(found, [-0.4, -0.2])


def test_the_mean_over_other_seeds_leaves_the_seed_out():
    np.testing.assert_allclose(frontier.others_mean(np.array([1.0, 2.0, 6.0])), [4, 3.5, 1.5])
    np.testing.assert_allclose(frontier.others_mean(np.array([7.0])), [7])


def test_the_strongest_attack_is_picked_on_the_other_seeds():
    values = np.array([[0.9, 0.5, 0.5], [0.6, 0.6, 0.6]])
    # The first attack wins by its first seed alone, on which it is not picked.
    assert frontier.strongest(values).tolist() == [1, 0, 0]
    assert frontier.strongest(values[:, :1]).tolist() == [0]


def test_picking_on_other_seeds_does_not_flatter_the_alternatives():
    """Alternatives that differ by luck only: against the best of them, picked on the same numbers,
    a student of their kind seems to leak more; picked on other seeds it does not."""
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
                between = frontier.neighbours(3.2, losses[:, seed], by)
                found += list(
                    frontier.excess(
                        np.array([3.2]), leakage[here], losses[:, here], leakages[:, here], between
                    )
                )
    error = 0.02 * np.sqrt(2 / len(crossed))
    assert abs(np.mean(crossed)) < 4 * error
    assert np.mean(same) > 20 * error
