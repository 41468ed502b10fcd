"""All privacy metrics of one model and attack, each with its bootstrap replicates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distilleak.metrics import binomial, bootstrap, closed, delong, epsilon
from distilleak.metrics.rates import Floats, Labels, Ranking, Weights, accuracies
from distilleak.metrics.thresholds import Folds, cross_fitted_decisions

FPR_TARGETS = (0.01, 0.001)
ACCURACIES = ("balanced_accuracy", "member_accuracy", "nonmember_accuracy")

Statistics = dict[tuple[str, str], Floats]  # (metric, threshold) -> (replicates,)
Least = dict[tuple[str, str], tuple[float, float] | None]  # (metric, threshold) -> interval


@dataclass(frozen=True)
class Measurement:
    """One metric of one model: the estimate and its bootstrap replicates."""

    metric: str
    threshold: str  # how the threshold was chosen; empty for metrics that have none
    value: float
    replicates: Floats  # (B,), NaN where a replicate leaves the metric undefined
    exact: tuple[float, float] | None = None  # an interval that does not come from replicates
    least: tuple[float, float] | None = None  # what the interval of the replicates must include

    def interval(self) -> tuple[float, float]:
        """Its 95 % interval: `exact`, or that of the replicates, widened to include `least`.

        Near 0 and 1 a bootstrap draws the few records that decide too seldom. Without a success,
        all its replicates are 0 and its interval is one point, also where the scores have few
        values and no threshold reaches the target.
        """
        if self.exact is not None:
            return self.exact
        low, high = bootstrap.interval(self.replicates)
        if self.least is None:
            return low, high
        return min(low, self.least[0]), max(high, self.least[1])


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
    Intervals include those of `closed`, and so keep their level near 0 and 1, too.

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

    found = measurements(statistics, weights)
    share = {(each.metric, each.threshold): each.value for each in found}
    members = int(labels.sum())
    least: Least = {("auc", ""): closed.auc(scores, labels)}
    for target in targets:
        name = f"tpr_at_fpr_{target}"
        least[name, ""] = closed.share(share[name, ""], members)
    for threshold in sorted({threshold for _, threshold in share} - {""}):
        sides = [
            (share["member_accuracy", threshold], members),
            (share["nonmember_accuracy", threshold], nonmembers),
        ]
        ends = (closed.mean_of_shares(sides), *(closed.share(*side) for side in sides))
        least |= {(name, threshold): end for name, end in zip(ACCURACIES, ends, strict=True)}
    return including(found, least)


def measure_exactly(
    scores: Floats, labels: Labels, delta: float, guess_share: float, seed: int
) -> list[Measurement]:
    """The metrics whose interval or bound needs no resampling.

    `auc_delong` is the AUC with DeLong's interval, an independent check of the bootstrap's.
    `tpr_at_fpr_*_exact` is the TPR with an interval that holds however few records decide. If there
    are too few non-members for a target, it is refused and NaN; beyond the largest target, so is
    `tpr_at_fpr_*`, which `measure` estimates by bootstrap where a few records decide. `epsilon`
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

    found = measurements(statistics, weights)
    share = {each.metric: each.value for each in found}
    least: Least = {}
    for name, members in sides.items():
        kept = members | ~labels
        least["auc_" + name, ""] = closed.auc(scores[kept], labels[kept])
        accuracy = "member_accuracy_" + name
        least[accuracy, "cross_fitted"] = closed.share(share[accuracy], int(members.sum()))
    return including(found, least)


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


def including(found: Sequence[Measurement], least: Least) -> list[Measurement]:
    """The same, with intervals that include those of `least`."""
    return [replace(each, least=least.get((each.metric, each.threshold))) for each in found]


def _named(threshold: str, rates: tuple[Floats, Floats, Floats]) -> Statistics:
    return {(metric, threshold): rate for metric, rate in zip(ACCURACIES, rates, strict=True)}
