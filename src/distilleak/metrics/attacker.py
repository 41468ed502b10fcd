"""The attacker who picks one of several attacks on some records and is judged on others.

The best of several attacks is optimistic on the records on which it was found to be the best. Here
each fold is judged by the attack, its sign and its threshold that are best on all other folds, so
nothing that is reported was chosen on the records that it is reported for.
"""

from collections.abc import Iterable
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


def attack_all(scores: Floats, labels: Labels, folds: Folds, draws: Iterable[Weights]) -> Outcome:
    """`attack` in every replicate of blocks of them, such as `bootstrap.weights`."""
    parts = [attack(scores, labels, folds, block) for block in draws]
    columns = (f.name for f in fields(Outcome))
    return Outcome(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


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
        raise DistilleakError(
            f"scores {scores.shape}; needed: (attacks, records), one attack or more"
        )
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise DistilleakError(
            f"{len(numbers)} fold; an attack is picked on others, so 2 are needed"
        )
    picks = [_picked(scores, labels, folds != fold, weights) for fold in numbers]
    picked, turned = (np.stack(column, axis=1) for column in zip(*picks, strict=True))
    won, pairs, found, accused = np.zeros((4, len(weights)))
    for within, choice, sign in zip(
        (folds == fold for fold in numbers), picked.T, 1 - 2 * turned.T, strict=True
    ):
        for number, orientation in sorted({*zip(choice.tolist(), sign.tolist(), strict=True)}):
            rows = np.flatnonzero((choice == number) & (sign == orientation))
            counts = _judged(orientation * scores[number], labels, within, weights[rows])
            for total, count in zip((won, pairs, found, accused), counts, strict=True):
                total[rows] += count
    members, nonmembers = (
        weights[:, side].sum(axis=1, dtype=np.float64) for side in (labels, ~labels)
    )
    return Outcome(picked, turned, won / pairs, found / members, accused / nonmembers)


def _picked(
    scores: Floats, labels: Labels, others: Labels, weights: Weights
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The attack whose AUC on the other folds lies farthest from 1/2, and whether it is below."""
    sides = labels & others, ~labels & others
    aucs = np.stack([Area.of(row, *sides).auc(weights) for row in scores])
    picked = np.argmax(np.abs(aucs - CHANCE), axis=0)
    return picked, aucs[picked, np.arange(len(weights))] < CHANCE


def _judged(
    scores: Floats, labels: Labels, within: Labels, weights: Weights
) -> tuple[Floats, Floats, Floats, Floats]:
    """Pairs won, pairs, members found and non-members accused in a fold, (B,) each."""
    called = _called(scores, ~labels & ~within, within, weights)
    sides = [labels[within], ~labels[within]]
    drawn = weights[:, within]
    members, nonmembers = (drawn[:, side].sum(axis=1, dtype=np.float64) for side in sides)
    found, accused = (
        np.einsum("br,br->b", drawn[:, side], called[:, side], dtype=np.float64) for side in sides
    )
    pairs = members * nonmembers
    # A replicate that draws one kind only from this fold compares nothing in it.
    area = np.nan_to_num(Area.of(scores, labels & within, ~labels & within).auc(weights))
    return area * pairs, pairs, found, accused


def _called(
    scores: Floats, choosing: Labels, judged: Labels, weights: Weights
) -> NDArray[np.bool_]:
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
