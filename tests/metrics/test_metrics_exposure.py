"""Exposure of canaries."""

import math

import numpy as np
import pytest

from distilleak.errors import DistilleakError
from distilleak.metrics.exposure import exposure


def slow_exposure(secret, others):
    """Sort all candidates; a tied secret gets the middle rank of its ties."""
    ordered = sorted([secret, *others], reverse=True)
    places = [i + 1 for i, score in enumerate(ordered) if score == secret]
    return math.log2(len(ordered)) - math.log2(sum(places) / len(places))


@pytest.mark.parametrize("seed", range(5))
def test_exposure_is_that_of_the_sorted_candidates_ties_included(seed):
    rng = np.random.default_rng(seed)
    secrets, others = rng.integers(0, 6, 20) / 2, rng.integers(0, 6, (20, 31)) / 2
    expected = [slow_exposure(s, row) for s, row in zip(secrets, others, strict=True)]
    np.testing.assert_allclose(exposure(secrets, others), expected, atol=1e-12)


def test_a_secret_ranked_first_has_all_the_bits_and_one_ranked_last_none():
    others = np.tile(np.arange(1023.0), (2, 1))
    np.testing.assert_allclose(exposure(np.array([2000.0, -1.0]), others), [10.0, 0.0])


def test_a_secret_that_was_never_seen_has_an_exposure_of_1_over_ln_2_on_average():
    rng = np.random.default_rng(0)
    found = exposure(rng.normal(size=4000), rng.normal(size=(4000, 999)))
    assert found.mean() == pytest.approx(1 / math.log(2), abs=0.07)


def test_a_model_that_cannot_distinguish_candidates_exposes_less_than_a_bit():
    assert exposure(np.zeros(1), np.zeros((1, 999)))[0] == pytest.approx(math.log2(1000 / 500.5))


def test_impossible_candidates_count_as_the_least_likely():
    found = exposure(np.array([0.0]), np.array([[-np.inf, -np.inf, 1.0]]))
    assert found[0] == pytest.approx(math.log2(4) - math.log2(2))


@pytest.mark.parametrize(
    ("secrets", "others", "message"),
    [
        (np.zeros(2), np.zeros((3, 4)), "2 secrets and candidates"),
        (np.zeros(2), np.zeros((2, 0)), "at least 1"),
        (np.zeros(2), np.zeros(2), "2 secrets"),
        (np.array([np.nan]), np.zeros((1, 2)), "NaN"),
    ],
)
def test_what_has_no_rank_is_an_error(secrets, others, message):
    with pytest.raises(DistilleakError, match=message):
        exposure(secrets, others)
