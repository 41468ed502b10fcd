"""The attacker who picks one of several attacks on some records and is judged on others.

The best of several attacks is optimistic on the records on which it was found to be the best. Here
each fold is judged by the attack, its sign and its threshold that are best on all other folds, so
nothing that is reported was chosen on the records that it is reported for.

What is best depends on what is reported. An attack that finds a few members for certain and nothing
of the others has an AUC near 1/2, and would never be picked by it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.metrics.rates import Floats, Labels, Weights, chunks
from distilleak.metrics.sweep import Area
from distilleak.metrics.thresholds import Folds

FPR = 0.01
"""The share of the non-members that the attacker allows itself to accuse."""
CHANCE = 0.5


@dataclass(frozen=True)
class Outcome:
    """How the picking attacker does, in each of B replicates.

    Attributes:
        picked: (B, folds), number of the attack whose AUC in the fold counts.
        turned: (B, folds), whether its sign is turned, as its AUC on the other folds is below 1/2.
        caller: (B, folds), number of the attack that calls records of the fold members.
        caller_turned: (B, folds), whether its sign is turned, as that finds more on the others.
        auc: (B,), mean of the AUCs within folds, weighted by their pairs of member and non-member.
        tpr: (B,), share of the members that are called members.
        fpr: (B,), share of the non-members that are called members.
    """

    picked: NDArray[np.intp]
    turned: NDArray[np.bool_]
    caller: NDArray[np.intp]
    caller_turned: NDArray[np.bool_]
    auc: Floats
    tpr: Floats
    fpr: Floats


def attack_all(scores: Floats, labels: Labels, folds: Folds, draws: Iterable[Weights]) -> Outcome:
    """`attack` in every replicate of blocks of them, such as `bootstrap.weights`."""
    parts = [attack(scores, labels, folds, block) for block in draws]
    columns = (f.name for f in fields(Outcome))
    return Outcome(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def attack(scores: Floats, labels: Labels, folds: Folds, weights: Weights) -> Outcome:
    """Let the attacker pick on all folds but one and judge that one, for each fold in turn.

    For the AUC it picks the attack whose AUC lies farthest from 1/2, and turns one whose AUC is
    below it. To call members it picks the attack, and the sign, that finds most of the others'; of
    equal ones that of the best AUC, else the first. A score above the threshold means member: the
    smallest threshold that at most a share `FPR` of the other folds' non-members exceeds
    (`thresholds.at_fpr`). All of it is chosen anew in each replicate. The copies of a record that a
    replicate draws share its fold.

    Different attacks may judge different folds, and their scores have no common scale. So members
    are compared with the non-members of their own fold only, as a stratified Mann-Whitney statistic
    does (van Elteren 1960; for cross-validation LeDell, Petersen and van der Laan 2015).

    Args:
        scores: (attacks, n), higher = more likely a member.
        labels: (n,), True = member.
        folds: (n,), from `thresholds.folds`.
        weights: (B, n): of ones for the estimate, from `bootstrap.weights` for its replicates.

    Raises:
        DistilleakError: there is no attack, a score is not finite, or a fold lacks members or
            non-members.
    """
    if scores.ndim != 2 or not len(scores):
        raise DistilleakError(
            f"scores {scores.shape}; needed: (attacks, records), one attack or more"
        )
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise DistilleakError(
            f"{len(numbers)} fold; an attack is picked on others, so 2 are needed"
        )
    picks = [_picked(scores, labels, folds != fold, weights) for fold in numbers]
    callers = [
        _caller(scores, labels, folds != fold, weights, first)
        for fold, first in zip(numbers, picks, strict=True)
    ]
    won, pairs, found, accused = np.zeros((4, len(weights)))
    for fold, pick, call in zip(numbers, picks, callers, strict=True):
        within = folds == fold
        for rows, score in _alike(scores, *pick):
            for total, count in zip(
                (won, pairs), _compared(score, labels, within, weights[rows]), strict=True
            ):
                total[rows] += count
        for rows, score in _alike(scores, *call):
            for total, count in zip(
                (found, accused), _counted(score, labels, within, weights[rows]), strict=True
            ):
                total[rows] += count
    members, nonmembers = (
        weights[:, side].sum(axis=1, dtype=np.float64) for side in (labels, ~labels)
    )
    picked, turned = (np.stack(column, axis=1) for column in zip(*picks, strict=True))
    caller, caller_turned = (np.stack(column, axis=1) for column in zip(*callers, strict=True))
    return Outcome(
        picked,
        turned,
        caller,
        caller_turned,
        won / pairs,
        found / members,
        accused / nonmembers,
    )


def _alike(
    scores: Floats, chosen: NDArray[np.intp], turned: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.intp], Floats]]:
    """The replicates that have chosen one attack and sign, and its scores so turned."""
    for number, sign in sorted({*zip(chosen.tolist(), turned.tolist(), strict=True)}):
        rows = np.flatnonzero((chosen == number) & (turned == sign))
        yield rows, (-1 if sign else 1) * scores[number]


def _picked(
    scores: Floats, labels: Labels, others: Labels, weights: Weights
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The attack whose AUC on the other folds lies farthest from 1/2, and whether it is below."""
    sides = labels & others, ~labels & others
    aucs = np.stack([Area.of(row, *sides).auc(weights) for row in scores])
    picked = np.argmax(np.abs(aucs - CHANCE), axis=0)
    return picked, aucs[picked, np.arange(len(weights))] < CHANCE


def _caller(
    scores: Floats,
    labels: Labels,
    others: Labels,
    weights: Weights,
    first: tuple[NDArray[np.intp], NDArray[np.bool_]],
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The attack that finds most members of the other folds, and whether it is turned."""
    candidates = [(number, sign) for sign in (False, True) for number in range(len(scores))]
    found = np.stack(
        [
            _found((-1 if sign else 1) * scores[number], labels, others, weights)
            for number, sign in candidates
        ]
    )
    best = np.argmax(found, axis=0)
    every = np.arange(len(weights))
    picked, turned = first
    incumbent = picked + len(scores) * turned
    best = np.where(found[best, every] > found[incumbent, every], best, incumbent)
    return best % len(scores), best >= len(scores)


def _found(scores: Floats, labels: Labels, others: Labels, weights: Weights) -> Floats:
    """The weight of the members of the other folds above the threshold of these, (B,)."""
    threshold = _threshold(scores, ~labels & others, weights)
    members = np.flatnonzero(labels & others)
    members = members[np.argsort(-scores[members], kind="stable")]
    above = len(members) - np.searchsorted(scores[members][::-1], threshold, "right")
    highest = members[: above.max()]
    found = np.empty(len(weights))
    for rows in chunks(weights):
        total = np.zeros((len(above[rows]), len(highest) + 1))
        np.cumsum(weights[rows][:, highest], axis=1, out=total[:, 1:])
        found[rows] = total[np.arange(len(total)), above[rows]]
    return found


def _compared(
    scores: Floats, labels: Labels, within: Labels, weights: Weights
) -> tuple[Floats, Floats]:
    """Pairs won, and pairs of member and non-member, in a fold, (B,) each."""
    members, nonmembers = (
        weights[:, side & within].sum(axis=1, dtype=np.float64) for side in (labels, ~labels)
    )
    pairs = members * nonmembers
    # A replicate that draws one kind only from this fold compares nothing in it.
    area = np.nan_to_num(Area.of(scores, labels & within, ~labels & within).auc(weights))
    return area * pairs, pairs


def _counted(
    scores: Floats, labels: Labels, within: Labels, weights: Weights
) -> tuple[Floats, Floats]:
    """Members found and non-members accused in a fold, (B,) each."""
    called = scores[within] > _threshold(scores, ~labels & ~within, weights)[:, None]
    drawn, member = weights[:, within], labels[within]
    found, accused = (
        np.einsum("br,br->b", drawn[:, side], called[:, side], dtype=np.float64)
        for side in (member, ~member)
    )
    return found, accused


def _threshold(scores: Floats, choosing: Labels, weights: Weights) -> Floats:
    """The smallest threshold that at most a share `FPR` of the choosing records exceeds, (B,)."""
    order = np.flatnonzero(choosing)
    order = order[np.argsort(-scores[order], kind="stable")]
    first = np.empty(len(weights), np.intp)
    for rows in chunks(weights):
        above = np.cumsum(weights[rows][:, order], axis=1, dtype=np.float64)
        # As quotients, since in floating point 0.29 * 100 < 29 while 29 / 100 == 0.29.
        first[rows] = np.argmax(above / np.maximum(above[:, -1:], 1) > FPR, axis=1)
    threshold: Floats = scores[order[first]]
    return threshold
