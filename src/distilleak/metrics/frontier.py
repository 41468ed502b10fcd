"""Leakage at equal utility: a student compared with trivial ways of leaking as little.

A worse model leaks less, so an attack's AUC alone says nothing. The trivial alternatives, such as
training for fewer epochs, span a frontier: the least leakage at each loss. Releasing one of two of
them by the toss of a coin gives the weighted means of their losses and leakages, so the frontier is
the lower convex hull of the alternatives. The excess of a student is its leakage minus that of the
frontier at its own loss.

The strongest of several attacks and the best of several alternatives look better than they are if
they are picked on the numbers that are then compared. So both are picked on the other seeds, and
only measured on the seed itself (cross-fitting). With a single seed they are picked on that seed,
which favours the alternatives.
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
        left: the alternative with the next smaller loss.
        right: that with the next larger loss; the same as `left` beyond either end of the frontier.
        share: the probability of `right` in the coin toss that has this loss.
        slope: the slope of the frontier there, leakage per loss; 0 beyond its ends.
        inside: whether the loss lies between its ends.
    """

    left: int
    right: int
    share: float
    slope: float
    inside: bool


def front(loss: Floats, leakage: Floats) -> Rows:
    """Positions of the alternatives that no other beats in both, by rising loss: the Pareto front.

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
    """Positions on the front that no coin toss between two others beats, by rising loss.

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
    """Where `target` lies on the frontier of the alternatives with (M,) `loss` and `leakage`.

    Beyond its end of larger loss the frontier is flat: its last alternative is more useful and
    leaks as little. Beyond its end of smaller loss no alternative is as useful, and the first one
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

    The toss at `at` is measured here, and the difference between its loss and the student's is
    corrected along the frontier's slope. Share and slope are those of `at`, so that the excess is
    linear in what is measured: a share fitted anew to these losses would be unstable where two
    alternatives are almost equally useful.

    Args:
        loss: (n,) the student's.
        leakage: (n,) the student's.
        losses: (M, n) of the alternatives.
        leakages: (M, n) of the alternatives.
        at: the alternatives of the toss, their shares, and the slope.
    """
    found: Floats = leakage - toss(leakages, at) - at.slope * (loss - toss(losses, at))
    return found


def toss(values: Floats, at: Place) -> Floats:
    """What the coin toss at `at` has on average, (n,), from the (M, n) values of alternatives."""
    mixed: Floats = (1 - at.share) * values[at.left] + at.share * values[at.right]
    return mixed


def others_mean(values: Floats) -> Floats:
    """For each seed the mean over the other seeds, along the last axis (S,); a lone seed's own."""
    seeds = values.shape[-1]
    if seeds == 1:
        return values
    others: Floats = (values.sum(axis=-1, keepdims=True) - values) / (seeds - 1)
    return others


def strongest(values: Floats) -> Rows:
    """The attack with the largest mean over the other seeds, (S,), from (attacks, S) values."""
    best: Rows = np.argmax(others_mean(values), axis=0)
    return best
