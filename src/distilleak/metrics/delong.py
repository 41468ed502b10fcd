"""Variances and covariances of AUCs without resampling (DeLong et al. 1988)."""

import math

import numpy as np
from scipy import special

from distilleak.errors import DistilleakError
from distilleak.metrics.binomial import all_alike
from distilleak.metrics.rates import Floats, Labels


def delong(scores: Floats, members: Labels) -> tuple[Floats, Floats]:
    """AUCs of several scores of the same records, (m,), and their covariance, (m, m).

    The placement of a member is the share of non-members below it, and that of a non-member the
    share of members above it, with ties as half. The AUC is the mean placement. The covariance of
    two AUCs is S10 / members + S01 / non-members, with S the sample covariances of the placements
    (DeLong, DeLong and Clarke-Pearson 1988, equations 4 to 6). A placement is a difference of two
    midranks (Sun and Xu 2014), found by sorting, in n log n rather than members times non-members.

    Args:
        scores: (m, n), higher = more likely a member.
        members: (n,), True = member.

    Raises:
        DistilleakError: a score is not finite, the shapes disagree, or there are fewer than two
            members or non-members.
    """
    if scores.ndim != 2 or scores.shape[1:] != members.shape:
        raise DistilleakError(
            f"scores {scores.shape} for {len(members)} labels; allowed: (m, {len(members)})"
        )
    if not np.isfinite(scores).all():
        raise DistilleakError(f"{(~np.isfinite(scores)).sum()} scores are not finite")
    counts = int(members.sum()), int((~members).sum())
    if min(counts) < 2:
        raise DistilleakError(
            f"{counts[0]} members and {counts[1]} non-members; a variance needs 2 of each"
        )
    above = np.stack([_placements(row[members], row[~members]) for row in scores])
    below = np.stack([_placements(-row[~members], -row[members]) for row in scores])
    covariance = np.cov(above) / counts[0] + np.cov(below) / counts[1]
    return above.mean(axis=1), covariance.reshape(len(scores), len(scores))


def auc_interval(
    scores: Floats, members: Labels, level: float = 0.95
) -> tuple[float, float, float]:
    """The AUC of scores (n,), with its interval: (AUC, low, high).

    Normal on the logit scale with the variance of `delong`, so that it stays between 0 and 1 and
    keeps its level near them (Qin and Hotilovac 2008). If every member lies on the same side of
    every non-member, or all scores are equal, the variance is 0 and says nothing. But
    min(members, non-members) disjoint pairs are independent trials whose mean is the AUC, and all
    of them are won, lost or tied: the interval is then `binomial.all_alike`.

    Raises:
        DistilleakError: as `delong`.
    """
    aucs, covariance = delong(scores[None], members)
    auc, variance = float(aucs[0]), float(covariance[0, 0])
    if variance == 0:
        return auc, *all_alike(auc, int(min(members.sum(), (~members).sum())), level)
    reach = special.ndtri((1 + level) / 2) * math.sqrt(variance) / (auc * (1 - auc))
    logit = special.logit(auc)
    return auc, float(special.expit(logit - reach)), float(special.expit(logit + reach))


def _placements(of: Floats, among: Floats) -> Floats:
    ordered = np.sort(among)
    ranks = np.searchsorted(ordered, of, "left") + np.searchsorted(ordered, of, "right")
    return np.asarray(ranks / (2 * len(ordered)), np.float64)
