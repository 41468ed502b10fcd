"""All privacy metrics of one model and attack, each with its bootstrap replicates."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilleak.metrics import binomial, bootstrap, closed, delong, epsilon
from distilleak.metrics.rates import Floats, Labels, Weights
from distilleak.metrics.sweep import Area, Sweep
from distilleak.metrics.thresholds import Folds

FPR_TARGETS = (0.01, 0.001)
ACCURACIES = ("balanced_accuracy", "member_accuracy", "nonmember_accuracy")

Key = tuple[str, str]
"""A metric, and how its threshold was chosen."""
Statistics = dict[Key, Floats]  # of (replicates,)
Values = dict[Key, float]
Least = dict[Key, tuple[float, float] | None]  # intervals


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


@dataclass(frozen=True)
class Metrics:
    """Metrics that are computed together, once in each block of replicates."""

    records: int
    statistics: Callable[[Weights], Statistics]
    least: Callable[[Values], Least] = lambda values: {}
    """From the values, what the intervals must include."""


def resample(wanted: Sequence[Metrics], draws: Iterable[Weights]) -> list[list[Measurement]]:
    """Compute each of `wanted` at weight one, for values, and in all replicates.

    Args:
        wanted: of the same records.
        draws: blocks of replicates, (rows, records) each, such as `bootstrap.weights`. They are
            drawn once for all of `wanted`, and only one of them is held.
    """
    values: list[Values] = [
        {
            key: float(value[0])
            for key, value in metrics.statistics(np.ones((1, metrics.records), np.int16)).items()
        }
        for metrics in wanted
    ]
    replicates: list[defaultdict[Key, list[Floats]]] = [defaultdict(list) for _ in wanted]
    for block in draws:
        for metrics, kept in zip(wanted, replicates, strict=True):
            for key, found in metrics.statistics(block).items():
                kept[key].append(found)
        del block  # before the next one is drawn
    measured = []
    for metrics, value, kept in zip(wanted, values, replicates, strict=True):
        least = metrics.least(value)
        measured.append(
            [
                Measurement(*key, value[key], np.concatenate(kept[key]), least=least.get(key))
                for key in value
            ]
        )
    return measured


def measure(
    scores: Floats,
    labels: Labels,
    folds: Folds,
    fixed_threshold: float | None,
) -> Metrics:
    """How well `scores` distinguish members from non-members.

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
        fixed_threshold: for scores that imply their own decision, such as votes: a score above it
            means member. It replaces the cross-fitted threshold, under the name `majority`.

    Raises:
        DistilleakError: a score is not finite, or there are no members or no non-members, overall
            or in a fold.
    """
    sweep = Sweep.of(scores, labels, folds if fixed_threshold is None else None)
    area = Area.of(scores, labels, ~labels)
    first, *others = FPR_TARGETS
    nonmembers = int(np.count_nonzero(~labels))
    targets = [first, *(t for t in others if binomial.enough_nonmembers(t, nonmembers))]
    members = int(labels.sum())

    def statistics(w: Weights) -> Statistics:
        found: defaultdict[Key, list[Floats]] = defaultdict(list)
        for each in sweep.passes(w):
            for target in targets:
                found[f"tpr_at_fpr_{target}", ""].append(each.tpr_at_fpr(target))
            if fixed_threshold is None:
                decided = {"cross_fitted": each.called(each.cross_fitted())}
            else:
                decided = {"majority": each.above(fixed_threshold)}
            for threshold, rates in (decided | {"oracle": each.oracle()}).items():
                for metric, rate in zip(ACCURACIES, rates.accuracies(), strict=True):
                    found[metric, threshold].append(rate)
        return {("auc", ""): area.auc(w)} | _joined(found)

    def least(share: Values) -> Least:
        found: Least = {("auc", ""): closed.auc(scores, labels)}
        for target in targets:
            name = f"tpr_at_fpr_{target}"
            found[name, ""] = closed.share(share[name, ""], members)
        for threshold in sorted({threshold for _, threshold in share} - {""}):
            sides = [
                (share["member_accuracy", threshold], members),
                (share["nonmember_accuracy", threshold], nonmembers),
            ]
            ends = (closed.mean_of_shares(sides), *(closed.share(*side) for side in sides))
            found |= {(name, threshold): end for name, end in zip(ACCURACIES, ends, strict=True)}
        return found

    return Metrics(len(scores), statistics, least)


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
) -> Metrics:
    """The members that a student trained on separately from those that it did not.

    `auc_seen` and `auc_unseen` compare each side of the members with all the non-members.
    `member_accuracy_seen` and `member_accuracy_unseen` are the shares called members at the
    cross-fitted threshold of `measure`, which is chosen on all the records of the other folds. A
    side without members is left out. Arguments and errors as in `measure`; `seen` is (n,), and only
    its values on members matter.
    """
    sides = {"seen": labels & seen, "unseen": labels & ~seen}
    sides = {name: members for name, members in sides.items() if members.any()}
    sweep = Sweep.of(scores, labels, folds)
    areas = {name: Area.of(scores, members, ~labels) for name, members in sides.items()}
    columns = {name: np.flatnonzero(members) for name, members in sides.items()}
    places = {name: sweep.places()[records] for name, records in columns.items()}

    def statistics(w: Weights) -> Statistics:
        accurate: defaultdict[Key, list[Floats]] = defaultdict(list)
        for each in sweep.passes(w):
            called = each.cross_fitted()
            for name, records in columns.items():
                tpr = each.share(records, places[name], called)
                accurate["member_accuracy_" + name, "cross_fitted"].append(tpr)
        found = {("auc_" + name, ""): area.auc(w) for name, area in areas.items()}
        return found | _joined(accurate)

    def least(share: Values) -> Least:
        found: Least = {}
        for name, members in sides.items():
            kept = members | ~labels
            found["auc_" + name, ""] = closed.auc(scores[kept], labels[kept])
            key = "member_accuracy_" + name, "cross_fitted"
            found[key] = closed.share(share[key], int(members.sum()))
        return found

    return Metrics(len(scores), statistics, least)


def _joined(parts: Mapping[Key, Sequence[Floats]]) -> Statistics:
    return {key: np.concatenate(found) for key, found in parts.items()}
