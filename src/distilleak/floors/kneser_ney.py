"""Interpolated Kneser-Ney models: next-token probabilities from counts of n-grams.

One absolute discount an order, n1 / (n1 + 2 n2) of its counts of counts (Ney, Essen and Kneser
1994); lower orders count in how many contexts a token occurs (Kneser and Ney 1995), and the lowest
one is interpolated with the uniform distribution (Chen and Goodman 1999, section 2.7).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.metrics.rates import Floats

Integers = NDArray[np.int64]
_LARGEST = 2**63
_NO_SINGLETON = 0.5
"""The discount where no n-gram of an order occurs exactly once, or none twice: the estimate is then
0, which gives unseen tokens no probability, or undefined."""


@dataclass(frozen=True)
class _Order:
    """The n-grams of one order, sorted by their keys, so that those of one context are neighbours.

    Attributes:
        keys: (n-grams,) tokens of each, packed, the last one in the lowest digit.
        probability: (n-grams,) of its last token after the others.
        contexts: (contexts,) packed tokens before the last one, sorted.
        back_off: (contexts,) weight of the next lower order.
        highest: (contexts,) probability of the most likely of the tokens seen after it.
    """

    keys: Integers
    probability: Floats
    contexts: Integers
    back_off: Floats
    highest: Floats


@dataclass(frozen=True)
class CountModel:
    """A fitted model; `orders[k]` holds the n-grams of k + 1 tokens.

    Before every text stands a token of its own, whose id is the size of the vocabulary.
    """

    vocabulary: int
    orders: Sequence[_Order]

    def score(self, records: Sequence[NDArray[np.integer]]) -> tuple[Floats, NDArray[np.bool_]]:
        """Log-probabilities, natural, of all tokens, and whether each is a most likely one.

        Args:
            records: arrays of token ids.

        Returns:
            (tokens,) each, record after record.
        """
        grams, digits = _grams(records, len(self.orders), self.vocabulary), self.vocabulary + 1
        probability = highest = np.full(len(grams), 1 / self.vocabulary)
        for number, order in enumerate(self.orders, start=1):
            keys = _packed(grams[:, -number:], digits)
            probability, highest = _interpolated(order, keys, keys // digits, probability, highest)
        return np.log(probability), probability >= highest


def fit(records: Sequence[NDArray[np.integer]], order: int, vocabulary: int) -> CountModel:
    """Count the n-grams of `records` of up to `order` tokens.

    Args:
        records: arrays of token ids; every record is its own text.
        order: tokens of the longest n-grams, 1 or more.
        vocabulary: number of tokens; ids lie below it.

    Raises:
        DistilleakError: there is no token, or the vocabulary is too large for the order.
    """
    digits = vocabulary + 1
    if digits**order > _LARGEST:
        raise DistilleakError(
            f"{vocabulary} tokens are too many for a count model of order {order}; allowed are "
            f"{round(_LARGEST ** (1 / order)) - 2}"
        )
    grams = _grams(records, order, vocabulary)
    if not len(grams):
        raise DistilleakError("a count model needs at least one token to count")
    counted = [np.unique(_packed(grams, digits), return_counts=True)]
    for number in range(order - 1, 0, -1):
        # Every longer n-gram counts once, however often it occurs: it is one context of its end.
        ends = counted[0][0] % digits**number
        counted.insert(0, np.unique(ends, return_counts=True))
    orders: list[_Order] = []
    for number, (keys, counts) in enumerate(counted, start=1):
        below = np.full(len(keys), 1 / vocabulary)
        if orders:
            lower = np.searchsorted(orders[-1].keys, keys % digits ** (number - 1))
            below = orders[-1].probability[lower]
        orders.append(_order(keys, counts, keys // digits, below))
    return CountModel(vocabulary, orders)


def _order(keys: Integers, counts: Integers, context: Integers, below: Floats) -> _Order:
    """One order, from its counts and the probabilities of the next lower one."""
    contexts, first = np.unique(context, return_index=True)
    each = np.diff(np.append(first, len(keys)))
    total = np.add.reduceat(counts, first)
    discount = _discount(counts)
    back_off = discount * each / total
    probability = (counts - discount) / np.repeat(total, each)
    probability += np.repeat(back_off, each) * below
    return _Order(keys, probability, contexts, back_off, np.maximum.reduceat(probability, first))


def _discount(counts: Integers) -> float:
    once, twice = (int(np.count_nonzero(counts == number)) for number in (1, 2))
    return once / (once + 2 * twice) if once and twice else _NO_SINGLETON


def _interpolated(
    order: _Order, keys: Integers, context: Integers, below: Floats, highest_below: Floats
) -> tuple[Floats, Floats]:
    """(probability, that of the most likely token) after one more order.

    A token that was never seen after a context is no likelier there than the likeliest token of the
    lower order, scaled; so the largest probability is one of the seen tokens', or that.
    """
    place = _places(order.contexts, context)
    known = place >= 0
    weight = np.where(known, order.back_off[place], 1.0)
    probability = weight * below
    seen = _places(order.keys, keys)
    probability[seen >= 0] = order.probability[seen[seen >= 0]]
    highest = weight * highest_below
    highest[known] = np.maximum(highest[known], order.highest[place[known]])
    return probability, highest


def _places(known: Integers, wanted: Integers) -> Integers:
    """(wanted,) where each stands in the sorted `known`; -1 where it does not."""
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[place] == wanted, place, -1)


def _grams(records: Sequence[NDArray[np.integer]], order: int, start: int) -> Integers:
    """(tokens, order): every token with the `order` - 1 before it, at first the token `start`."""
    padding = np.full(order - 1, start, dtype=np.int64)
    windows = [
        np.lib.stride_tricks.sliding_window_view(
            np.concatenate([padding, record.astype(np.int64)]), order
        )
        for record in records
        if len(record)
    ]
    return np.concatenate(windows) if windows else np.empty((0, order), dtype=np.int64)


def _packed(grams: Integers, digits: int) -> Integers:
    """(n-grams,): the tokens of each as those of a number in a system of so many digits."""
    keys = np.zeros(len(grams), dtype=np.int64)
    for column in grams.T:
        keys = keys * digits + column
    return keys
