"""All privacy metrics of one model and attack, each with its bootstrap replicates."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilleak.metrics.rates import Floats, Labels, Ranking, Weights, accuracies
from distilleak.metrics.thresholds import Folds, cross_fitted_decisions

FPR_TARGETS = (0.01, 0.001)
ACCURACIES = ("balanced_accuracy", "member_accuracy", "nonmember_accuracy")

Statistics = dict[tuple[str, str], Floats]  # (metric, threshold) -> (replicates,)


@dataclass(frozen=True)
class Measurement:
    """One metric of one model: the estimate and its bootstrap replicates."""

    metric: str
    threshold: str  # how the threshold was chosen; empty for metrics that have none
    value: float
    replicates: Floats  # (B,), NaN where a replicate leaves the metric undefined


def measure(
    scores: Floats,
    labels: Labels,
    folds: Folds,
    weights: Weights,
    fixed_threshold: float | None,
) -> list[Measurement]:
    """Measure how well `scores` tell members from non-members.

    AUC; TPR at 1 % and 0.1 % FPR; balanced, member and non-member accuracy at two thresholds: the
    cross-fitted one, chosen anew in each replicate, and `oracle`, the best on the evaluated labels.
    Oracle replicates choose anew too, so they are optimistic twice and their mean lies above the
    value. So does that of TPR at FPR when the target allows hardly any false positive (0.1 % of
    fewer than some thousand non-members): a replicate often misses the few that decide, and the
    interval is too high.

    Args:
        scores: (n,), higher = more likely a member.
        labels: (n,), True = member.
        folds: (n,), from `thresholds.folds`.
        weights: (B, n), from `bootstrap.weights`.
        fixed_threshold: for scores that carry their own decision, such as votes: a score above it
            calls a member. It replaces the cross-fitted threshold, under the name `majority`.

    Raises:
        DistilleakError: a score is not finite, or members or non-members are lacking, overall or in
            a fold.
    """
    ranking = Ranking.of(scores, labels)

    def statistics(w: Weights) -> Statistics:
        if fixed_threshold is None:
            name, decisions = "cross_fitted", cross_fitted_decisions(scores, labels, folds, w)
        else:
            name, decisions = "majority", scores > fixed_threshold
        return {
            ("auc", ""): ranking.auc(w),
            **{(f"tpr_at_fpr_{t}", ""): ranking.tpr_at_fpr(w, t) for t in FPR_TARGETS},
            **_named(name, accuracies(decisions, labels, w)),
            **_named("oracle", ranking.oracle(w)),
        }

    return measurements(statistics, weights)


def measure_seen(
    scores: Floats,
    labels: Labels,
    seen: NDArray[np.bool_],
    folds: Folds,
    weights: Weights,
) -> list[Measurement]:
    """Measure apart the members that a student trained on and those that it did not.

    `auc_seen` and `auc_unseen` set either side of the members against all the non-members;
    `member_accuracy_seen` and `member_accuracy_unseen` are the shares called members at the
    cross-fitted threshold of `measure`, which all the records of the other folds choose. A side
    without members is left out. Arguments and errors as in `measure`; `seen` is (n,), and only
    its values on members matter.
    """
    sides = {"seen": labels & seen, "unseen": labels & ~seen}
    sides = {name: members for name, members in sides.items() if members.any()}

    def statistics(w: Weights) -> Statistics:
        decisions = cross_fitted_decisions(scores, labels, folds, w)
        aucs, accurate = {}, {}
        for name, members in sides.items():
            kept = members | ~labels
            aucs["auc_" + name, ""] = Ranking.of(scores, labels, among=kept).auc(w)
            tpr = accuracies(decisions[:, kept], labels[kept], w[:, kept])[1]
            accurate["member_accuracy_" + name, "cross_fitted"] = tpr
        return aucs | accurate

    return measurements(statistics, weights)


def measurements(
    statistics: Callable[[Weights], Statistics], weights: Weights
) -> list[Measurement]:
    """Take `statistics` at weight one, for the values, and at `weights` (B, n), for replicates."""
    values = statistics(np.ones((1, weights.shape[1]), np.int16))
    replicates = statistics(weights)
    return [
        Measurement(metric, threshold, float(value[0]), replicates[metric, threshold])
        for (metric, threshold), value in values.items()
    ]


def _named(threshold: str, rates: tuple[Floats, Floats, Floats]) -> Statistics:
    return {(metric, threshold): rate for metric, rate in zip(ACCURACIES, rates, strict=True)}
