"""The strongest of several attacks on one model, with an interval that allows for the picking."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from distilleak.errors import DistilleakError
from distilleak.metrics.binomial import all_alike
from distilleak.metrics.ranges import SHARE, cut
from distilleak.metrics.rates import Floats

_CHANCE = 0.5
POWER = 0.8
"""Probability with which a leak of the size `Strongest.reach` would have been found."""


@dataclass(frozen=True)
class Strongest:
    """The attack whose interval lies farthest from chance, on either side.

    Attributes:
        attack: its number.
        turned: whether its AUC lies below 1/2. Members then have the lower scores, and whoever
            turns the sign finds them: value and interval are those of the attack so turned.
        value: its estimate, the mean over seeds.
        low: end of its interval, which holds for all attacks at once.
        high: the other end.
        reach: how far above chance the AUC of an attack must lie to be found with probability
            `POWER`.
    """

    attack: int
    turned: bool
    value: float
    low: float
    high: float
    reach: float


def strongest(
    values: Floats,
    replicates: Floats,
    members: NDArray[np.integer],
    nonmembers: NDArray[np.integer],
    level: float = 0.95,
) -> Strongest:
    """The attack that shows the most, after Bonferroni's correction for all that were tried.

    With K attacks, each interval has the level 1 - (1 - level) / K, so that all of them hold
    together with probability `level` or more, however the attacks depend on each other (Dunn 1961):
    also the interval of the one that is picked because it lies farthest from chance. The standard
    error is that of the evaluated records for the models as they are: the root of the summed
    bootstrap variances of the seeds over their number. It leaves out how much trainings differ,
    since the question is whether these models leak. With few seeds, Student's t would find no leak
    among many attacks, however large it is.

    If nothing varies, as where every member scores higher than every non-member, the interval is
    `binomial.all_alike` of disjoint pairs of a member and a non-member of one seed.

    `reach` rests on the standard deviation of an AUC at chance, the root of
    (m + n + 1) / (12 m n) for m members and n non-members (Mann and Whitney 1947), and not on those
    observed: an attack whose scores nearly all tie varies little, but finds nothing either.

    Args:
        values: AUC of each attack and seed, (K, S).
        replicates: by bootstrap over records, (K, S, B), NaN where undefined.
        members: how many are evaluated in each seed, (S,).
        nonmembers: the same, (S,).
        level: of all intervals together.

    Raises:
        DistilleakError: there is no attack or no seed, or an attack has fewer than two defined
            replicates in a seed.
    """
    if not values.size or replicates.shape[:2] != values.shape:
        raise DistilleakError(
            f"values {values.shape} and replicates {replicates.shape}; needed: a value of each "
            "attack and seed, and its replicates"
        )
    if (np.isfinite(replicates).sum(axis=2) < 2).any():
        raise DistilleakError("an attack has fewer than two defined replicates in a seed")
    attacks, seeds = values.shape
    error = np.sqrt(np.nanvar(replicates, axis=2, ddof=1).sum(axis=1)) / seeds
    pairs = int(np.minimum(members, nonmembers).min())
    quantile = float(special.ndtri(1 - (1 - level) / (2 * attacks)))
    variance = (members + nonmembers + 1) / (12.0 * members * nonmembers)
    at_chance = math.sqrt(float(variance.sum())) / seeds
    mean = values.mean(axis=1)
    if np.isnan(mean).any():
        raise DistilleakError("the value of an attack is NaN")
    values_of = np.maximum(mean, 1 - mean)
    ends = [
        cut(value - quantile * spread, value + quantile * spread, SHARE)
        if spread > 0
        else all_alike(value, pairs, 1 - (1 - level) / attacks)
        for value, spread in zip(values_of.tolist(), error.tolist(), strict=True)
    ]
    best = max(range(attacks), key=lambda attack: ends[attack][0])
    return Strongest(
        best,
        bool(mean[best] < _CHANCE),
        float(values_of[best]),
        *ends[best],
        (quantile + float(special.ndtri(POWER))) * at_chance,
    )
