"""How much the strongest attack finds out from one model, and every attack by itself."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilleak.metrics import attacker, limits, picked_epsilon
from distilleak.metrics.attacker import Outcome
from distilleak.metrics.bootstrap import weights
from distilleak.metrics.limits import Estimate, Tails
from distilleak.metrics.picked_epsilon import Bound
from distilleak.metrics.rates import Floats, Labels, Ranking, Weights
from distilleak.metrics.sweep import Area
from distilleak.metrics.thresholds import Folds, folds
from distilleak.scoring.scores import Scores
from distilleak.settings.evaluation import EvaluationSettings


@dataclass(frozen=True)
class Strength:
    """What an attacker finds out who picks among the attacks on one model.

    Attributes:
        names: the attacks that are tried, in order.
        scores: theirs, (attacks, n).
        labels: (n,), True = member.
        folds: (n,).
        outcome: of the picking attacker, (1,) each.
        replicates: the same in each bootstrap replicate, (B,) each.
    """

    names: Sequence[str]
    scores: Floats
    labels: Labels
    folds: Folds
    outcome: Outcome
    replicates: Outcome

    @property
    def members(self) -> int:
        """Their number."""
        return int(self.labels.sum())

    @property
    def nonmembers(self) -> int:
        """Their number."""
        return len(self.labels) - self.members

    @property
    def attack(self) -> str:
        """The one whose AUC counts in most folds; of several, that of the first fold."""
        return self.names[_usual(self.outcome.picked, self.outcome.turned)[0]]

    @property
    def turned(self) -> bool:
        """Whether its sign is turned, since members have the lower scores."""
        return _usual(self.outcome.picked, self.outcome.turned)[1]

    @property
    def caller(self) -> str:
        """The one that calls members in most folds; of several, that of the first fold."""
        return self.names[_usual(self.outcome.caller, self.outcome.caller_turned)[0]]

    @property
    def caller_turned(self) -> bool:
        """Whether its sign is turned."""
        return _usual(self.outcome.caller, self.outcome.caller_turned)[1]

    def auc(self, tails: Tails) -> Estimate:
        """Of the picking attacker, within folds."""
        judged = [
            (self.scores[number, self.folds == fold] * (-1 if turned else 1), self.folds == fold)
            for fold, number, turned in zip(
                np.unique(self.folds), self.outcome.picked[0], self.outcome.turned[0], strict=True
            )
        ]
        strata = [(scores, self.labels[within]) for scores, within in judged]
        return limits.area(float(self.outcome.auc[0]), self.replicates.auc, strata, tails)

    def tpr(self, tails: Tails) -> Estimate:
        """The share of the members that the picking attacker finds."""
        value = float(self.outcome.tpr[0])
        return limits.share(value, self.replicates.tpr, self.members, tails)

    def fpr(self, tails: Tails) -> Estimate:
        """The share of the non-members that the picking attacker accuses."""
        value = float(self.outcome.fpr[0])
        return limits.share(value, self.replicates.fpr, self.nonmembers, tails)

    def epsilon(self, settings: EvaluationSettings, seed: int, tails: Tails) -> Bound:
        """The lower bound on epsilon, at the confidence of the low ends."""
        return picked_epsilon.bound(
            self.scores,
            self.labels,
            self.folds,
            settings.delta,
            settings.guess_share,
            seed,
            1 - tails.low,
        )


@dataclass(frozen=True)
class Alone:
    """One attack by itself, as it is: its AUC is not turned, its threshold is not cross-fitted."""

    attack: str
    auc: Estimate
    tpr: Estimate


def strength(
    scores: Scores, names: Sequence[str], settings: EvaluationSettings, seed: int
) -> Strength:
    """Let the attacker pick among the attacks `names`.

    Folds and resampling depend on the labels and the seed alone, so that two models on the same
    records are paired.

    Raises:
        DistilleakError: there are fewer members or non-members than folds.
    """
    labels = scores.teacher_member
    fold = folds(labels, settings.folds, seed)
    found = np.stack([scores.attacks[name] for name in names])
    return Strength(
        names,
        found,
        labels,
        fold,
        attacker.attack(found, labels, fold, _ones(labels)),
        attacker.attack_all(found, labels, fold, weights(labels, settings.replicates, seed)),
    )


def alone(
    scores: Scores, names: Sequence[str], settings: EvaluationSettings, seed: int, tails: Tails
) -> list[Alone]:
    """Every attack by itself."""
    labels = scores.teacher_member
    ones, drawn = _ones(labels), weights(labels, settings.replicates, seed)
    members, found = int(labels.sum()), []
    for name in names:
        values = scores.attacks[name]
        area, ranking = Area.of(values, labels, ~labels), Ranking.of(values, labels)
        aucs, tprs = (
            np.concatenate(column)
            for column in zip(
                *((area.auc(w), ranking.tpr_at_fpr(w, attacker.FPR)) for w in (ones, *drawn)),
                strict=True,
            )
        )
        found.append(
            Alone(
                name,
                limits.area(float(aucs[0]), aucs[1:], [(values, labels)], tails),
                limits.share(float(tprs[0]), tprs[1:], members, tails),
            )
        )
    return found


def _usual(attacks: NDArray[np.intp], turned: NDArray[np.bool_]) -> tuple[int, bool]:
    """The attack and the sign that most folds have, of the estimate."""
    chosen = zip(attacks[0].tolist(), turned[0].tolist(), strict=True)
    return Counter(chosen).most_common(1)[0][0]


def _ones(labels: Labels) -> Weights:
    return np.ones((1, len(labels)), np.int16)
