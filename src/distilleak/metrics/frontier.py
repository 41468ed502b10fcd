"""Leakage at equal utility: a student against the trivial ways of leaking as little.

A worse model leaks less, so an attack's AUC says nothing by itself. The trivial alternatives, such
as training for fewer epochs, span a frontier: the least leakage at each loss. Between two
neighbours on it lies what one gets by releasing the one or the other by the toss of a coin; its
expected loss and leakage are the weighted means of theirs. The excess of a student is its leakage
minus that of the frontier at its own loss.

The largest of several attacks and the best of several alternatives, picked on the numbers that are
then compared, look better than they are. So both are picked on the other seeds, and only measured
on the seed itself (cross-fitting). With one seed they are picked on the seed itself, which favours
the alternatives.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilleak.metrics.rates import Floats

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """Where a loss lies on a frontier.

    Attributes:
        left: the alternative of the next smaller loss.
        right: that of the next larger loss; the same one beyond either end of the frontier.
        inside: whether the loss lies between its ends.
    """

    left: int
    right: int
    inside: bool


def front(loss: Floats, leakage: Floats) -> Rows:
    """Positions of those that nobody beats in both, by rising loss: the Pareto front.

    Args:
        loss: (M,).
        leakage: (M,).
    """
    kept: list[int] = []
    for row in np.lexsort((leakage, loss)):
        if not kept or leakage[row] < leakage[kept[-1]]:
            kept.append(int(row))
    return np.array(kept, dtype=np.int64)


def neighbours(target: float, loss: Floats, leakage: Floats) -> Neighbours:
    """The alternatives on the frontier of (M,) `loss` and `leakage` between which `target` lies.

    Beyond its end of larger loss the frontier is flat: its last alternative is both more useful and
    leaks as little. Beyond its end of smaller loss there is no alternative so useful, and its first
    is taken.
    """
    along = front(loss, leakage)
    place = int(np.searchsorted(loss[along], target))
    if 0 < place < len(along):
        return Neighbours(int(along[place - 1]), int(along[place]), True)
    end = int(along[min(place, len(along) - 1)])
    return Neighbours(end, end, bool(loss[end] == target))


def excess(
    loss: Floats, leakage: Floats, losses: Floats, leakages: Floats, between: Neighbours
) -> Floats:
    """Leakage minus that of the frontier at the same loss, (n,).

    Args:
        loss: (n,) the student's.
        leakage: (n,) the student's.
        losses: (M, n) of the alternatives.
        leakages: (M, n) of the alternatives.
        between: the two that are weighted so that their mean loss is the student's; a loss that in
            some column lies beyond both takes the nearer.
    """
    left, right = losses[between.left], losses[between.right]
    gap = right - left
    share = np.divide(loss - left, gap, out=np.zeros_like(gap), where=gap != 0).clip(0, 1)
    found: Floats = leakage - (1 - share) * leakages[between.left] - share * leakages[between.right]
    return found


def others_mean(values: Floats) -> Floats:
    """For every seed the mean over the other seeds, along the last axis (S,); itself if alone."""
    seeds = values.shape[-1]
    if seeds == 1:
        return values
    others: Floats = (values.sum(axis=-1, keepdims=True) - values) / (seeds - 1)
    return others


def strongest(values: Floats) -> Rows:
    """The attack of largest mean over the other seeds, (S,), from (attacks, S) values."""
    best: Rows = np.argmax(others_mean(values), axis=0)
    return best
