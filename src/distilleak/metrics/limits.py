"""Estimates against limits: intervals whose ends decide, and how many more records would."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from distilleak.metrics.binomial import lower_bound, upper_bound
from distilleak.metrics.bootstrap import interval
from distilleak.metrics.delong import delong
from distilleak.metrics.ranges import SHARE, Range, cut
from distilleak.metrics.rates import Floats, Labels

Side = Literal["below", "above", "open"]
DIFFERENCE: Range = (-1.0, 1.0)
"""Between which values the difference of two AUCs can lie."""


@dataclass(frozen=True)
class Tails:
    """Probability, at most, that the truth lies below the low end, and above the high end."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its interval."""

    value: float
    low: float
    high: float


def tails(level: float, criteria: int) -> Tails:
    """The tails of the intervals that decide on one student by several criteria.

    To pass, a student must lie below every limit. If it truly reaches one, it passes only if the
    high end of that very criterion is wrong: an intersection-union test, which needs no correction
    (Berger 1982). So the high end is the one of an ordinary two-sided interval at `level`. To fail,
    exceeding one limit is enough, and each criterion is a chance to do so by error. So the low ends
    are Bonferroni's: together, they are wrong with probability (1 - level) / 2 at most.

    An interval with such ends covers the truth with probability `level` or more.
    """
    tail = (1 - level) / 2
    return Tails(tail / criteria, tail)


def share(value: float, replicates: Floats, records: int, tails: Tails) -> Estimate:
    """A share of so many records, by bootstrap, widened to Clopper and Pearson's interval.

    The bootstrap repeats the choice of a threshold, whose error the formula does not know. The
    formula knows that a record of a kind that was not seen may be among others, which the bootstrap
    does not: where nobody is found, all its replicates are 0.
    """
    found = round(value * records)
    low, high = _percentiles(replicates, tails)
    return Estimate(
        value,
        min(low, float(lower_bound(found, records, 1 - tails.low))),
        max(high, float(upper_bound(found, records, 1 - tails.high))),
    )


def area(
    value: float, replicates: Floats, strata: Sequence[tuple[Floats, Labels]], tails: Tails
) -> Estimate:
    """An AUC within strata, by bootstrap, widened to DeLong's interval on the logit scale.

    Args:
        value: the mean of the strata's AUCs, weighted by their pairs of member and non-member.
        replicates: of it, (B,).
        strata: (scores, labels) of each. The variance is the sum of theirs with squared weights, as
            no record is in two. If nothing varies, that says nothing: the interval is then that of
            `binomial.all_alike` for as many disjoint pairs as there are.
        tails: of the interval.
    """
    pairs, variances, disjoint = [], [], 0
    for scores, labels in strata:
        members, nonmembers = int(labels.sum()), int((~labels).sum())
        pairs.append(members * nonmembers)
        disjoint += min(members, nonmembers)
        known = min(members, nonmembers) > 1
        variances.append(float(delong(scores[None], labels)[1][0, 0]) if known else 0.0)
    weight = np.array(pairs) / sum(pairs)
    error = math.sqrt(float(weight**2 @ np.array(variances)))
    if error == 0:
        low, high = _alike(value, disjoint, tails, SHARE)
    else:
        logit, scale = special.logit(value), error / (value * (1 - value))
        low = float(special.expit(logit + special.ndtri(tails.low) * scale))
        high = float(special.expit(logit - special.ndtri(tails.high) * scale))
    drawn = _percentiles(replicates, tails)
    return Estimate(value, min(low, drawn[0]), max(high, drawn[1]))


def paired(
    a: float, drawn_a: Floats, b: float, drawn_b: Floats, pairs: int, tails: Tails
) -> Estimate:
    """The AUC a minus the AUC b on the same records, replicates (B,) drawn with the same weights.

    If the difference does not vary, as between two models that agree on every record, the interval
    is that of `binomial.all_alike` for `pairs` disjoint pairs of member and non-member.
    """
    replicates = drawn_a - drawn_b
    low, high = _percentiles(replicates, tails)
    if low == high:
        low, high = _alike(a - b, pairs, tails, DIFFERENCE)
    return Estimate(a - b, low, high)


def unpaired(a: Estimate, b: Estimate) -> Estimate:
    """a minus b for independent estimates: their distances to the ends add up as standard errors.

    Zou and Donner 2008, "Construction of confidence limits about effect measures". If the two are
    positively correlated, as on the same records, the interval is too wide and never too narrow.
    """
    value = a.value - b.value
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    high = value + math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, *cut(low, high, DIFFERENCE))


def side(estimate: Estimate, limit: float) -> Side:
    """On which side of the limit the whole interval lies; `open` if on neither."""
    if estimate.high < limit:
        return "below"
    return "above" if estimate.low > limit else "open"


def more_records(estimate: Estimate, limit: float, members: int, nonmembers: int) -> int | None:
    """How many more of each kind would move the limit out of an interval that contains it.

    A standard error falls as one over the root of the number of records. If the estimate stayed the
    same, f times as many of both kinds would bring the end that lies beyond the limit to the limit,
    with f the square of that end's distance from the estimate over the limit's. None if the
    estimate lies on the limit, which no number of records decides.
    """
    gap = limit - estimate.value
    if gap == 0:
        return None
    reach = estimate.high - estimate.value if gap > 0 else estimate.value - estimate.low
    factor = (reach / gap) ** 2
    return max(1, math.ceil((factor - 1) * max(members, nonmembers)))


def _percentiles(replicates: Floats, tails: Tails) -> tuple[float, float]:
    return interval(replicates, 1 - 2 * tails.low)[0], interval(replicates, 1 - 2 * tails.high)[1]


def _alike(value: float, records: int, tails: Tails, within: Range) -> tuple[float, float]:
    """As `binomial.all_alike`, for quantities within any range and tails that differ."""
    below, above = (float(upper_bound(0, records, 1 - tail)) for tail in (tails.low, tails.high))
    return (
        (1 - below) * value + below * within[0],
        (1 - above) * value + above * within[1],
    )
