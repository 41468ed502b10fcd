"""Exact intervals for rates, and TPR at an FPR only where there are enough non-members."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from distilleak.errors import DistilleakError
from distilleak.metrics.rates import Floats, Labels, Ranking

MIN_FALSE_POSITIVES = 10
"""TPR at an FPR is reported only if that FPR allows this many false positives."""


@dataclass(frozen=True)
class TprAtFpr:
    """TPR at an FPR with its interval, or the reason why there is none."""

    tpr: float  # NaN where refused
    low: float
    high: float
    nonmembers: int
    false_positives: int  # how many the target allows
    reason: str  # of the refusal; empty otherwise


def lower_bound(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> Floats:
    """One-sided lower bound of a probability, broadcast (Clopper and Pearson 1934).

    The p at which that many or more successes have probability 1 - level; 0 without a success.

    Raises:
        DistilleakError: more successes than trials, or a negative number of them.
    """
    k, n = _counts(successes, trials)
    return np.where(k > 0, special.betaincinv(np.maximum(k, 1), n - k + 1, 1 - level), 0.0)


def upper_bound(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> Floats:
    """One-sided upper bound of a probability, broadcast; 1 when every trial is a success.

    Raises:
        DistilleakError: as `lower_bound`.
    """
    k, n = _counts(successes, trials)
    return np.where(k < n, special.betaincinv(k + 1, np.maximum(n - k, 1), level), 1.0)


def clopper_pearson(
    successes: ArrayLike, trials: ArrayLike, level: float = 0.95
) -> tuple[Floats, Floats]:
    """The two-sided interval (low, high) of a probability: both bounds at (1 + level) / 2.

    It covers the truth with probability at least `level`, whatever the truth and the sample size.

    Raises:
        DistilleakError: as `lower_bound`.
    """
    side = (1 + level) / 2
    return lower_bound(successes, trials, side), upper_bound(successes, trials, side)


def all_alike(value: float, records: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of a mean of quantities between 0 and 1 that are `value` in all `records` seen.

    Nothing has been seen to vary, but other records may. If a share p of all records differs, the
    mean lies between (1 - p) value and (1 - p) value + p; and of the records seen, none differs, so
    p is at most the Clopper-Pearson bound of 0 in `records`. Both ends hold with probability
    `level` together. A resampling of these records cannot show this: its interval is one point.
    """
    differing = float(upper_bound(0, records, (1 + level) / 2))
    return (1 - differing) * value, (1 - differing) * value + differing


def allowed_false_positives(fpr: float, nonmembers: int) -> int:
    """How many of the non-members may be called members: the largest k with k / n <= fpr.

    Compared as a quotient, since in floating point 0.29 * 100 < 29 while 29 / 100 == 0.29.
    """
    beyond = math.floor(fpr * nonmembers) + 1
    return beyond if beyond / nonmembers <= fpr else beyond - 1


def enough_nonmembers(fpr: float, nonmembers: int) -> bool:
    """Whether the non-members allow at least `MIN_FALSE_POSITIVES` false positives.

    The true FPR of the threshold that allows k of n is distributed as Beta(k + 1, n - k) around the
    target. With k = 10 of 1,000 that is 0.55 to 1.83 times the target (95 %); with k = 1, it is
    0.24 to 5.6 times, so that a "TPR at 0.1 % FPR" could be a TPR at almost any low FPR.
    """
    return allowed_false_positives(fpr, nonmembers) >= MIN_FALSE_POSITIVES


def tpr_at_fpr(scores: Floats, labels: Labels, fpr: float, level: float = 0.95) -> TprAtFpr:
    """The largest TPR whose FPR is at most `fpr`, with an interval that needs no resampling.

    The threshold is itself an estimate. The interval therefore takes the TPR at two thresholds:
    `low` at one so high that its true FPR is below the target, `high` at one so low that its true
    FPR is above it. Each holds except with probability (1 - level) / 4 (the FPR of the k + 1st
    highest non-member is Beta(k + 1, n - k), David and Nagaraja 2003, section 2.2). The ends are
    the one-sided Clopper-Pearson bounds there, each of which fails with another (1 - level) / 4.
    The interval covers the TPR at the true FPR with probability at least `level` (99.6 % in
    simulations at 95 %), even where a bootstrap has too few records. A binomial interval at the
    chosen threshold alone does not: it covers 62 % at an FPR of 1 % with 1,000 non-members.

    Args:
        scores: (n,), higher = more likely a member.
        labels: (n,), True = member.
        fpr: target, above 0 and below 1.
        level: of the interval.

    Returns:
        NaN with a reason where `enough_nonmembers` is False.

    Raises:
        DistilleakError: the target is not a rate; for scores, as `Ranking.of`.
    """
    if not 0 < fpr < 1:
        raise DistilleakError(f"false-positive rate {fpr}; allowed: above 0 and below 1")
    ranking = Ranking.of(scores, labels)
    members, nonmembers = len(ranking.members), len(ranking.nonmembers)
    allowed = allowed_false_positives(fpr, nonmembers)
    if not enough_nonmembers(fpr, nonmembers):
        nan = float("nan")
        reason = (
            f"{nonmembers} non-members allow {allowed} false positives at an FPR of {fpr:g}; "
            f"at least {MIN_FALSE_POSITIVES} are needed"
        )
        return TprAtFpr(nan, nan, nan, nonmembers, allowed, reason)
    share = (1 - level) / 4
    descending = -np.sort(-scores[~labels])
    k = np.arange(nonmembers)
    below = special.betainc(k + 1.0, nonmembers - k, fpr)  # P(true FPR <= target)
    high_thresholds, low_thresholds = descending[1 - below <= share], descending[below <= share]
    low, high = 0.0, 1.0
    if len(high_thresholds):
        found = np.count_nonzero(scores[labels] > high_thresholds[-1])
        low = float(lower_bound(found, members, 1 - share))
    if len(low_thresholds):
        # A decision that includes this score has a higher FPR than the target.
        found = np.count_nonzero(scores[labels] > low_thresholds[0])
        high = float(upper_bound(found, members, 1 - share))
    tpr = float(ranking.tpr_at_fpr(np.ones((1, len(scores)), np.int16), fpr)[0])
    return TprAtFpr(tpr, low, high, nonmembers, allowed, "")


def _counts(successes: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    if ((k < 0) | (k > n)).any():
        raise DistilleakError(
            f"{k.max():g} successes in {n.min():g} trials; allowed: 0 to the number of trials"
        )
    return k, n
