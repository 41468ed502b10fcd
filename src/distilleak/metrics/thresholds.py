"""Thresholds that never see the labels that judge them: cross-fitted or from a hold-out."""

import numpy as np
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.metrics.rates import Floats, Labels, Ranking
from distilleak.seeding import stream

Folds = NDArray[np.int64]  # (records,)


def folds(labels: Labels, n_folds: int, seed: int) -> Folds:
    """Deal members and non-members, each in random order, to folds 0 ... n_folds - 1; (records,).

    A pure function of its arguments: all the models of a seed get the same folds.

    Raises:
        DistilleakError: there are fewer than two folds, or one would lack members or non-members.
    """
    if n_folds < 2:
        raise DistilleakError(f"{n_folds} folds; cross-fitting needs at least 2")
    rng = stream(seed, "folds")
    fold = np.empty(len(labels), np.int64)
    for name, side in (("members", labels), ("non-members", ~labels)):
        records = rng.permutation(np.flatnonzero(side))
        if len(records) < n_folds:
            raise DistilleakError(
                f"{len(records)} {name} for {n_folds} folds; every fold needs at least one"
            )
        fold[records] = np.arange(len(records)) % n_folds
    return fold


def cross_fitted(scores: Floats, labels: Labels, folds: Folds) -> Floats:
    """For each record, the threshold of best balanced accuracy on the other folds; (records,).

    The decision is score > threshold. Thresholds lie halfway between neighbouring distinct scores,
    or are +inf if no threshold beats calling no record a member. Among equally good ones the
    highest is taken.

    Raises:
        DistilleakError: a fold lacks members or non-members, or a score is not finite.
    """
    ones = np.ones((1, len(scores)), np.int16)
    names, fold = np.unique(folds, return_inverse=True)
    check_folds(labels, fold, len(names))
    thresholds = [
        Ranking.of(scores, labels, among=fold != k).best_threshold(ones)[0]
        for k in range(len(names))
    ]
    return np.take(np.array(thresholds), fold)


def check_folds(labels: Labels, fold: NDArray[np.intp], n_folds: int) -> None:
    """Raise an error unless the folds, numbered from 0, allow cross-fitting.

    Raises:
        DistilleakError: there are fewer than two, or one lacks members or non-members.
    """
    for name, side in (("members", labels), ("non-members", ~labels)):
        held = np.bincount(fold[side], minlength=n_folds)
        if n_folds < 2 or not held.all():
            raise DistilleakError(
                f"{held.min()} {name} in the smallest of {n_folds} folds; cross-fitting needs "
                "at least 2 folds with members and non-members in each"
            )


def at_fpr(nonmember_scores: Floats, fpr: float) -> float:
    """The smallest threshold that at most a share `fpr` of the non-members' scores exceeds.

    -inf if all of them may exceed it (fpr = 1).

    Raises:
        DistilleakError: there are no scores, one is NaN, or `fpr` is not between 0 and 1.
    """
    if not 0 <= fpr <= 1:
        raise DistilleakError(f"false-positive rate {fpr}; it must lie between 0 and 1")
    if not len(nonmember_scores) or np.isnan(nonmember_scores).any():
        raise DistilleakError(
            f"{len(nonmember_scores)} non-member scores, {np.isnan(nonmember_scores).sum()} of "
            "them NaN; a threshold needs at least one score and no NaN"
        )
    descending = np.sort(nonmember_scores)[::-1]
    shares = np.arange(len(descending) + 1) / len(descending)
    exceeding = int(np.count_nonzero(shares <= fpr)) - 1
    return float(np.append(descending, -np.inf)[exceeding])
