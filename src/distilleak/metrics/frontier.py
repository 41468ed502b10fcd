"""Leakage at equal utility: a student against the trivial ways of leaking as little.

A worse model leaks less, so an attack's AUC says nothing by itself. The trivial alternatives, such
as training for fewer epochs, span a frontier: the least leakage at each loss. Whoever releases one
or another of them by the toss of a coin has the weighted means of their losses and leakages, so the
frontier is the lower convex hull of the alternatives. The excess of a student is its leakage minus
that of the frontier at its own loss.

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
class Place:
    """Where a loss lies on a frontier.

    Attributes:
        left: the alternative of the next smaller loss.
        right: that of the next larger loss; the same one beyond either end of the frontier.
        share: of `right` in the toss of the coin that has this loss.
        slope: of the frontier there, leakage per loss; 0 beyond its ends.
        inside: whether the loss lies between its ends.
    """

    left: int
    right: int
    share: float
    slope: float
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


def hull(loss: Floats, leakage: Floats) -> Rows:
    """Positions of those on the front that no toss between two others beats, by rising loss.

    The lower convex hull of the Pareto front (Andrew's monotone chain). Arguments as for `front`.
    """
    kept: list[int] = []
    for row in front(loss, leakage):
        while len(kept) > 1:
            first, last = kept[-2:]
            rise = (leakage[row] - leakage[first]) * (loss[last] - loss[first])
            if (leakage[last] - leakage[first]) * (loss[row] - loss[first]) < rise:
                break
            kept.pop()
        kept.append(int(row))
    return np.array(kept, dtype=np.int64)


def place(target: float, loss: Floats, leakage: Floats) -> Place:
    """Where `target` lies on the frontier of alternatives of (M,) `loss` and `leakage`.

    Beyond its end of larger loss the frontier is flat: its last alternative is both more useful and
    leaks as little. Beyond its end of smaller loss there is no alternative so useful, and its first
    is taken.
    """
    along = hull(loss, leakage)
    after = int(np.searchsorted(loss[along], target))
    if 0 < after < len(along):
        left, right = int(along[after - 1]), int(along[after])
        gap = float(loss[right] - loss[left])
        share = float(target - loss[left]) / gap
        return Place(left, right, share, float(leakage[right] - leakage[left]) / gap, True)
    end = int(along[min(after, len(along) - 1)])
    return Place(end, end, 0.0, 0.0, bool(loss[end] == target))


def excess(loss: Floats, leakage: Floats, losses: Floats, leakages: Floats, at: Place) -> Floats:
    """Leakage minus that of the frontier at the same loss, (n,).

    The toss at `at` is measured here, and what its loss differs from the student's is made up for
    along the frontier's slope. Shares and slope are those of `at`, so that the excess is linear in
    what is measured: a share that was fitted to these losses again would be wild where two
    alternatives are nearly as useful.

    Args:
        loss: (n,) the student's.
        leakage: (n,) the student's.
        losses: (M, n) of the alternatives.
        leakages: (M, n) of the alternatives.
        at: the alternatives that are tossed between, their shares, and the slope.
    """

    def toss(values: Floats) -> Floats:
        mixed: Floats = (1 - at.share) * values[at.left] + at.share * values[at.right]
        return mixed

    found: Floats = leakage - toss(leakages) - at.slope * (loss - toss(losses))
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
