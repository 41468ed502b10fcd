"""All privacy metrics of one model and attack, each with its bootstrap replicates."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilleak.metrics import binomial, delong, epsilon
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
    exact: tuple[float, float] | None = None  # an interval that does not come from replicates


def measure(
    scores: Floats,
    labels: Labels,
    folds: Folds,
    weights: Weights,
    fixed_threshold: float | None,
) -> list[Measurement]:
    """Measure how well `scores` distinguish members from non-members.

    AUC; TPR at 1 % FPR and, if there are enough non-members, at 0.1 % FPR; balanced, member and
    non-member accuracy at two thresholds: the cross-fitted one, chosen anew in each replicate, and
    `oracle`, the best on the evaluated labels.
    Oracle replicates choose anew as well, so they are optimistic twice and their mean exceeds the
    value. The same holds for TPR at FPR if the target allows hardly any false positives (0.1 % of
    fewer than some thousand non-members): a replicate often misses the few non-members that decide,
    and the interval is too high.

    Args:
        scores: (n,), higher = more likely a member.
        labels: (n,), True = member.
        folds: (n,), from `thresholds.folds`.
        weights: (B, n), from `bootstrap.weights`.
        fixed_threshold: for scores that imply their own decision, such as votes: a score above it
            means member. It replaces the cross-fitted threshold, under the name `majority`.

    Raises:
        DistilleakError: a score is not finite, or there are no members or no non-members, overall
            or in a fold.
    """
    ranking = Ranking.of(scores, labels)
    first, *others = FPR_TARGETS
    nonmembers = int(np.count_nonzero(~labels))
    targets = [first, *(t for t in others if binomial.enough_nonmembers(t, nonmembers))]

    def statistics(w: Weights) -> Statistics:
        if fixed_threshold is None:
            name, decisions = "cross_fitted", cross_fitted_decisions(scores, labels, folds, w)
        else:
            name, decisions = "majority", scores > fixed_threshold
        return {
            ("auc", ""): ranking.auc(w),
            **{(f"tpr_at_fpr_{t}", ""): ranking.tpr_at_fpr(w, t) for t in targets},
            **_named(name, accuracies(decisions, labels, w)),
            **_named("oracle", ranking.oracle(w)),
        }

    return measurements(statistics, weights)


def measure_exactly(
    scores: Floats, labels: Labels, delta: float, guess_share: float, seed: int
) -> list[Measurement]:
    """The metrics whose interval or bound needs no resampling.

    `auc_delong` is the AUC with DeLong's interval, an independent check of the bootstrap's.
    `tpr_at_fpr_*_exact` is the TPR with an interval that holds however few records decide. If there
    are too few non-members for a target, both it and `tpr_at_fpr_*` are refused and NaN. `epsilon`
    is a lower bound, at a threshold chosen on other records (`held_out`) or from guesses whose
    number was fixed in advance (`one_run`); its upper end is unknown.

    Args:
        scores: (n,), higher = more likely a member.
        labels: (n,), True = member.
        delta: of the privacy that is audited.
        guess_share: share of the members and of the non-members that is guessed.
        seed: draws the records on which the threshold is chosen, and breaks ties.

    Raises:
        DistilleakError: as `measure`.
    """
    none = np.empty(0)
    found = []
    auc, low, high = delong.auc_interval(scores, labels)
    found.append(Measurement("auc_delong", "", auc, none, (low, high)))
    nan = float("nan")
    for target in FPR_TARGETS:
        tpr = binomial.tpr_at_fpr(scores, labels, target)
        name = f"tpr_at_fpr_{target}"
        found.append(Measurement(f"{name}_exact", "", tpr.tpr, none, (tpr.low, tpr.high)))
        if tpr.reason and target < FPR_TARGETS[0]:
            found.append(Measurement(name, "", nan, none, (nan, nan)))
    bounds = {
        "held_out": epsilon.at_threshold(scores, labels, delta, seed),
        "one_run": _one_run(scores, labels, delta, guess_share, seed),
    }
    for threshold, bound in bounds.items():
        found.append(Measurement("epsilon", threshold, bound, none, (bound, nan)))
    return found


def _one_run(scores: Floats, labels: Labels, delta: float, guess_share: float, seed: int) -> float:
    members, nonmembers = (
        max(1, round(guess_share * int(np.count_nonzero(side)))) for side in (labels, ~labels)
    )
    correct = epsilon.correct_guesses(scores, labels, members, nonmembers, seed)
    return epsilon.one_run(len(scores), members + nonmembers, correct, delta)


def measure_seen(
    scores: Floats,
    labels: Labels,
    seen: NDArray[np.bool_],
    folds: Folds,
    weights: Weights,
) -> list[Measurement]:
    """Measure the members that a student trained on separately from those that it did not.

    `auc_seen` and `auc_unseen` compare each side of the members with all the non-members.
    `member_accuracy_seen` and `member_accuracy_unseen` are the shares called members at the
    cross-fitted threshold of `measure`, which is chosen on all the records of the other folds. A
    side without members is left out. Arguments and errors as in `measure`; `seen` is (n,), and only
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
    """Compute `statistics` at weight one, for values, and at `weights` (B, n), for replicates."""
    values = statistics(np.ones((1, weights.shape[1]), np.int16))
    replicates = statistics(weights)
    return [
        Measurement(metric, threshold, float(value[0]), replicates[metric, threshold])
        for (metric, threshold), value in values.items()
    ]


def _named(threshold: str, rates: tuple[Floats, Floats, Floats]) -> Statistics:
    return {(metric, threshold): rate for metric, rate in zip(ACCURACIES, rates, strict=True)}
