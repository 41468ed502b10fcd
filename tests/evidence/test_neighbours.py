"""Perturbed copies: which tokens are replaced, and by what."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from distilleak.errors import DistilleakError
from distilleak.evidence.neighbours import Bigrams, neighbours
from distilleak.settings.evidence import EvidenceSettings

AUXILIARY = [
    np.array(record, dtype=np.int32)
    for record in ([3, 4, 3, 4, 3, 5], [4, 3, 5, 5], [6], [7, 3, 4], [3, 6, 7])
]
SETTINGS = EvidenceSettings(neighbours=3, neighbour_share=0.2)


def probabilities(previous: int, smoothing: float) -> dict[int, float]:
    """p(w | previous) by the formula, from counts in dictionaries."""
    tokens = Counter(int(token) for record in AUXILIARY for token in record)
    pairs = Counter(
        int(after)
        for record in AUXILIARY
        for before, after in pairwise(record)
        if before == previous
    )
    follow, every = sum(pairs.values()), sum(tokens.values())
    return {
        token: (pairs[token] + smoothing * count / every) / (follow + smoothing)
        for token, count in tokens.items()
    }


@pytest.mark.parametrize("previous", [-1, 3, 4, 5, 6, 7, 99])
@pytest.mark.parametrize("smoothing", [0.5, 3.0])
def test_proposals_follow_the_smoothed_bigrams(previous: int, smoothing: float) -> None:
    draws = 200_000
    drawn = Bigrams(AUXILIARY, smoothing).draw(
        np.full(draws, previous, np.int32), np.random.default_rng(0)
    )
    expected = probabilities(previous, smoothing)
    counted = Counter(drawn.tolist())
    assert set(counted) <= set(expected)
    for token, probability in expected.items():
        error = np.sqrt(probability * (1 - probability) / draws)
        assert abs(counted[token] / draws - probability) < 5 * error + 1e-12


def test_a_copy_differs_at_so_many_places_and_nowhere_else() -> None:
    record = np.tile(np.array([3, 4, 5, 6, 7], np.int32), 4)
    copies = neighbours(record, "a", Bigrams(AUXILIARY, 1.0), SETTINGS, seed=0)
    assert len(copies) == 3
    assert [int((copy != record).sum()) for copy in copies] == [4, 4, 4]
    assert len({copy.tobytes() for copy in copies}) == 3


def test_a_record_of_one_token_has_copies_too() -> None:
    copies = neighbours(np.array([3], np.int32), "a", Bigrams(AUXILIARY, 1.0), SETTINGS, seed=0)
    assert all(len(copy) == 1 and copy[0] != 3 for copy in copies)


def test_copies_depend_on_the_record_its_id_and_the_seed_alone() -> None:
    record, bigrams = np.array([3, 4, 5, 6, 7] * 4, np.int32), Bigrams(AUXILIARY, 1.0)
    first = np.array(neighbours(record, "a", bigrams, SETTINGS, seed=0))
    neighbours(record, "b", bigrams, SETTINGS, seed=0)
    assert (first == neighbours(record, "a", bigrams, SETTINGS, seed=0)).all()
    assert (first != neighbours(record, "b", bigrams, SETTINGS, seed=0)).any()
    assert (first != neighbours(record, "a", bigrams, SETTINGS, seed=1)).any()


def test_a_pool_of_one_token_cannot_propose() -> None:
    with pytest.raises(DistilleakError, match="holds a single token"):
        Bigrams([np.array([3, 3], np.int32)], 1.0)
