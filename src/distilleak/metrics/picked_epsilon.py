"""A lower bound on epsilon by the strongest of several attacks, picked on records of its own."""

from dataclasses import dataclass

import numpy as np

from distilleak.metrics.epsilon import correct_guesses, one_run
from distilleak.metrics.rates import Floats, Labels
from distilleak.metrics.sweep import Area
from distilleak.metrics.thresholds import Folds

_CHANCE = 0.5


@dataclass(frozen=True)
class Bound:
    """A lower bound on epsilon, and how it was found.

    Attributes:
        epsilon: 0 if nothing is shown.
        attack: its number.
        turned: whether members have the lower scores.
    """

    epsilon: float
    attack: int
    turned: bool


def bound(
    scores: Floats,
    labels: Labels,
    folds: Folds,
    delta: float,
    guess_share: float,
    seed: int,
    level: float,
) -> Bound:
    """The audit of `epsilon.one_run` with an attack that is picked on half of the folds.

    The first half of the folds, rounded down, picks the attack whose AUC lies farthest from 1/2 and
    its sign. Only the records of the other folds are guessed and counted. Given the membership of
    the first half, the guesses are a function of the model alone, as the theorem requires, so the
    picking needs no correction. To pick for each fold on all others would not do: a record that is
    guessed in one fold would have helped to choose the guesses of another. Bonferroni's correction
    for the attacks would be valid but useless, as the term of delta does not allow confidences that
    high.

    Args:
        scores: (attacks, n), higher = more likely a member.
        labels: (n,), True = member.
        folds: (n,), from `thresholds.folds`.
        delta: of the privacy that is audited.
        guess_share: share of the members and of the non-members in the judging folds that is
            guessed.
        seed: breaks ties.
        level: one-sided confidence.

    Raises:
        DistilleakError: as `one_run` and `Area.of`.
    """
    numbers = np.unique(folds)
    picking = np.isin(folds, numbers[: len(numbers) // 2])
    ones = np.ones((1, len(labels)), np.int16)
    sides = labels & picking, ~labels & picking
    aucs = [float(Area.of(row, *sides).auc(ones)[0]) for row in scores]
    attack = int(np.argmax(np.abs(np.array(aucs) - _CHANCE)))
    turned = aucs[attack] < _CHANCE
    judged = scores[attack, ~picking] * (-1 if turned else 1)
    members = labels[~picking]
    guessed, refused = (
        max(1, round(guess_share * int(np.count_nonzero(side)))) for side in (members, ~members)
    )
    correct = correct_guesses(judged, members, guessed, refused, seed)
    found = one_run(len(judged), guessed + refused, correct, delta, level)
    return Bound(found, attack, turned)
