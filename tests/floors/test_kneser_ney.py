"""Count models against an independent one of dictionaries, and their properties."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.floors import kneser_ney

VOCABULARY = 12
START = -1
Records = Sequence[NDArray[np.int64]]


def drawn(seed: int, records: int, longest: int = 9) -> list[NDArray[np.int64]]:
    """Records in which some tokens are much more frequent than others."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, VOCABULARY) ** 1.2
    return [
        1 + rng.choice(VOCABULARY - 1, rng.integers(1, longest), p=weights / weights.sum())
        for _ in range(records)
    ]


class SlowModel:
    """The definition, one dictionary an order, for one context at a time."""

    def __init__(self, records: Records, order: int) -> None:
        self.order = order
        counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
        for record in records:
            text = (START,) * (order - 1) + tuple(int(token) for token in record)
            for end in range(order, len(text) + 1):
                counts[order][text[end - order : end]] += 1
        for size in range(order - 1, 0, -1):
            extended = defaultdict(set)
            for gram in counts[size + 1]:
                extended[gram[1:]].add(gram[0])
            counts[size] = Counter({gram: len(before) for gram, before in extended.items()})
        self.counts = counts
        self.discounts = [0.0] + [self._discount(each) for each in counts[1:]]

    @staticmethod
    def _discount(counts: Counter[tuple[int, ...]]) -> float:
        of = Counter(counts.values())
        return of[1] / (of[1] + 2 * of[2]) if of[1] and of[2] else 0.5

    def probability(self, context: tuple[int, ...], token: int) -> float:
        below = self.probability(context[1:], token) if context else 1 / VOCABULARY
        size = len(context) + 1
        after = {gram: count for gram, count in self.counts[size].items() if gram[:-1] == context}
        if not after:
            return below
        discount, total = self.discounts[size], sum(after.values())
        count = after.get((*context, token), 0)
        return max(count - discount, 0) / total + discount * len(after) / total * below


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_probabilities_are_those_of_the_definition(order: int, seed: int) -> None:
    known, others = drawn(seed, 60), drawn(seed + 100, 20)
    slow = SlowModel(known, order)
    model = kneser_ney.fit(known, order, VOCABULARY)
    for records in (known, others):
        logp, correct = model.score(records)
        row = 0
        for record in records:
            text = (START,) * (order - 1) + tuple(int(token) for token in record)
            for end in range(order, len(text) + 1):
                context = text[end - order : end - 1]
                every = [slow.probability(context, token) for token in range(VOCABULARY)]
                assert sum(every) == pytest.approx(1, abs=1e-12)
                assert logp[row] == pytest.approx(math.log(every[text[end - 1]]), abs=1e-12)
                most = max(every)
                assert correct[row] == (every[text[end - 1]] > most - 1e-12)
                row += 1
        assert row == len(logp) == sum(map(len, records))


def test_longer_contexts_predict_a_text_of_long_dependencies_better() -> None:
    rng = np.random.default_rng(0)

    def text(length: int) -> NDArray[np.int64]:
        tokens = [1, 2]
        for _ in range(length):
            follows = 1 + (3 * tokens[-1] + 5 * tokens[-2]) % (VOCABULARY - 1)
            tokens.append(int(follows if rng.random() < 0.9 else rng.integers(1, VOCABULARY)))
        return np.array(tokens)

    known, new = [text(200) for _ in range(20)], [text(200) for _ in range(5)]
    losses = [-kneser_ney.fit(known, order, VOCABULARY).score(new)[0].mean() for order in (1, 2, 3)]
    assert losses[0] > losses[1] > losses[2] + 1


def test_without_a_token_there_is_nothing_to_count() -> None:
    with pytest.raises(DistilleakError, match="at least one token"):
        kneser_ney.fit([], 2, VOCABULARY)


def test_a_vocabulary_too_large_for_the_order_is_refused() -> None:
    with pytest.raises(
        DistilleakError, match=r"4000000 tokens are too many .* order 3; .* 2097150"
    ):
        kneser_ney.fit([np.array([1, 2, 3])], 3, 4_000_000)


def test_n_grams_of_large_vocabularies_are_kept_apart() -> None:
    """Their keys need more than 32 bits."""
    vocabulary = 200_000
    records = [np.array([199_999, 7, 199_998, 199_999, 7, 199_997]), np.array([7, 199_998, 3])]
    model = kneser_ney.fit(records, 3, vocabulary)
    logp, correct = model.score(records)
    assert np.isfinite(logp).all()
    assert correct[2]
    assert not correct[8]
