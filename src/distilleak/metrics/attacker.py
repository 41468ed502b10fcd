"""The attacker who picks one of several attacks on some records and is judged on others.

The best of several attacks is optimistic on the records on which it was found to be the best. Here
each fold is judged by the attack, its sign and its threshold that are best on all other folds, so
nothing that is reported was chosen on the records that it is reported for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.metrics.rates import Floats, Labels, Ranking, Weights, chunks
from distilleak.metrics.thresholds import Folds

FPR = 0.01
"""The share of the non-members that the attacker allows itself to accuse."""
CHANCE = 0.5


@dataclass(frozen=True)
class Outcome:
    """How the picking attacker does, in each of B replicates.

    Attributes:
        picked: (B, folds), number of the attack that judges the fold.
        turned: (B, folds), whether its sign is turned, as its AUC on the other folds is below 1/2.
        auc: (B,), mean of the AUCs within folds, weighted by their pairs of member and non-member.
        tpr: (B,), share of the members that are called members.
        fpr: (B,), share of the non-members that are called members.
    """

    picked: NDArray[np.intp]
    turned: NDArray[np.bool_]
    auc: Floats
    tpr: Floats
    fpr: Floats


def attack(scores: Floats, labels: Labels, folds: Folds, weights: Weights) -> Outcome:
    """Let the attacker pick on all folds but one and judge that one, for each fold in turn.

    It picks the attack whose AUC lies farthest from 1/2, and turns one whose AUC is below it. Its
    threshold is the smallest that at most a share `FPR` of the other folds' non-members exceeds
    (`thresholds.at_fpr`); a score above it means member. All of it is chosen anew in each
    replicate. The copies of a record that a replicate draws share its fold.

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
        raise DistilleakError(f"scores {scores.shape}; needed: (attacks, records), one attack or more")
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise DistilleakError(f"{len(numbers)} fold; an attack is picked on others, so 2 are needed")
    aucs = [
        np.stack([Ranking.of(row, labels, among=folds != k).auc(weights) for row in scores])
        for k in numbers
    ]
    picked = np.stack([np.argmax(np.abs(auc - CHANCE), axis=0) for auc in aucs], axis=1)
    turned = np.stack(
        [np.take_along_axis(a, p[None], axis=0)[0] < CHANCE for a, p in zip(aucs, picked.T, strict=True)],
        axis=1,
    )
    found = np.zeros((3, len(weights)))  # pairs won, members found, non-members accused
    pairs = np.zeros(len(weights))
    for column, k in enumerate(numbers):
        within = folds == k
        for number, sign in sorted({*zip(picked[:, column].tolist(), (1 - 2 * turned[:, column]).tolist())}):
            rows = np.flatnonzero((picked[:, column] == number) & (turned[:, column] == (sign < 0)))
            drawn = weights[rows]
            signed = sign * scores[number]
            held = [drawn[:, within & side].sum(axis=1, dtype=np.float64) for side in (labels, ~labels)]
            possible = held[0] * held[1]
            area = Ranking.of(signed, labels, among=within).auc(drawn)
            called = _called(signed, ~labels & ~within, within, drawn)
            pairs[rows] += possible
            found[0, rows] += np.where(possible > 0, area, 0) * possible
            for line, side in ((1, labels), (2, ~labels)):
                found[line, rows] += (drawn[:, within & side] * called[:, side[within]]).sum(axis=1)
    sides = [weights[:, side].sum(axis=1, dtype=np.float64) for side in (labels, ~labels)]
    return Outcome(picked, turned, found[0] / pairs, found[1] / sides[0], found[2] / sides[1])


def _called(scores: Floats, choosing: Labels, judged: Labels, weights: Weights) -> NDArray[np.bool_]:
    """Whether each judged record exceeds the threshold of the choosing ones, (B, judged)."""
    order = np.flatnonzero(choosing)
    order = order[np.argsort(-scores[order], kind="stable")]
    called = np.empty((len(weights), int(judged.sum())), np.bool_)
    for rows in chunks(weights):
        above = np.cumsum(weights[rows][:, order], axis=1, dtype=np.float64)
        # As quotients, since in floating point 0.29 * 100 < 29 while 29 / 100 == 0.29.
        first = np.argmax(above / np.maximum(above[:, -1:], 1) > FPR, axis=1)
        called[rows] = scores[judged] > scores[order[first], None]
    return called
