"""frontier: does a student leak less than the trivial alternatives of the same utility?"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from distilleak.floors.floor import FLOORS, UNIFORM, USELESS, worse_than
from distilleak.metrics import bootstrap, frontier
from distilleak.metrics.compare import Difference, detectable, holm, two_sided
from distilleak.metrics.equivalence import tost
from distilleak.metrics.ranges import range_of
from distilleak.metrics.rates import Floats
from distilleak.metrics.seeds import difference_over_seeds, over_seeds
from distilleak.tables.base import Columns, Key, Pooled
from distilleak.tables.printing import (
    INTERVALS,
    NONE,
    Findings,
    Printed,
    difference,
    interval,
    number,
    p_value,
)
from distilleak.tables.reading import AT_EQUAL_UTILITY, UTILITIES
from distilleak.tables.results import StudyResults
from distilleak.tables.roster import Model, Pair
from distilleak.tables.wording import COST_NAMES, METRIC_NAMES

COLUMNS: Columns = {
    "pair": str,
    "model": str,
    "role": str,
    "floor": str,
    "utility": str,
    "metric": str,
    "attack": str,
    "loss": float,
    "loss_low": float,
    "loss_high": float,
    "leakage": float,
    "leakage_low": float,
    "leakage_high": float,
    "seed_sd": float,
    "front": bool,
    "trivial_front": bool,
    "alternative": str,
    "difference": float,
    "low": float,
    "high": float,
    "p_value": float,
    "p_holm": float,
    "p_equivalence": float,
    "detectable": float,
    "verdict": str,
    "agreed": str,
}
TRIVIAL = "trivial"
COUNTED = "count model"
"""The role of a count model: an alternative that everybody has, and a row of the table."""
LEVEL = 0.05
POWER = 0.8
"""Probability with which a difference as large as `detectable` would have been found."""
_LOSS = ("", "heldout_loss", "")
MORE = "more useful than all"
LESS = "less useful than all"
DISPUTED = "depends on the measure of utility"
"""What is agreed where measures of utility lead to different verdicts."""
NO_USE = f"less useful than a {USELESS}"
"""The verdict on a model that predicts worse than counts do: what it leaks is of no interest."""


@dataclass(frozen=True, eq=False)
class _Point:
    """One model under the strongest attack; (S,) of seeds, (S, B) of their replicates, (S, 2) of
    the ends of their own intervals.
    """

    model: str
    role: str
    floor: str
    attack: str
    loss: Floats
    losses: Floats
    loss_ends: Floats
    leakage: Floats
    leakages: Floats
    leakage_ends: Floats


def build(study: StudyResults) -> pd.DataFrame:
    """The table: a row per pair, utility, metric and model that has a loss, without the teacher.

    Utility is measured in several ways (`tables.reading.UTILITIES`), each as a cost, `loss`, of
    which less is better. A verdict is `agreed` where all of them lead to it.

    `leakage` is the metric under the strongest attack, which for every seed is picked on the others
    (`metrics.frontier`): by the TPR for the TPR, by the AUC for all else. `attack` is the one that
    most seeds pick. A model that can be undone has one row: it is attacked as it is and undone, and
    the strongest of all these attacks counts, at the loss of what is released. `seed_sd` is the
    standard deviation of leakage between seeds. `front` marks the Pareto front of all models at
    their means, `trivial_front` the trivial alternatives that span the frontier. So does a model by
    which all tokens are equally likely, which has no row: it leaks nothing, and whoever predicts
    worse has learned nothing; and so do count models, which have a row each; those that count no
    member leak nothing either. `floor` is the first count model of public text, of
    `floors.floor.USELESS` and `WEAK`, that a model predicts worse than. One worse than `USELESS` is
    compared with nothing: its verdict is `NO_USE`.

    `difference` is leakage minus that of this frontier at the model's own loss, `alternative` what
    it is compared with there. `p_holm` corrects for all models of the pair, utility and metric, and
    the verdict goes by it. `p_equivalence` is that of "the difference is as large as the margin",
    so corrected, and `detectable` the smallest difference that would have been found with
    probability `POWER`, after Bonferroni's correction for the same models.

    A model shown to be more useful than all alternatives is compared with the most useful one; if
    it does not leak less, the two cannot be compared, and the verdict says so. So it is with one
    that is shown to be less useful than all, unless it even leaks more.
    """
    found = pd.DataFrame(
        [
            row
            for name, pair in study.roster.pairs.items()
            for utility in UTILITIES
            for metric in AT_EQUAL_UTILITY
            for row in _rows(
                pair,
                (name, utility, metric),
                _points(study, name, pair.models, utility, metric),
                study.evaluation.margin,
            )
        ],
        columns=[name for name in COLUMNS if name not in ("p_holm", "verdict", "agreed")],
    )
    family = ["pair", "utility", "metric"]
    families = found.groupby(family)
    for column, adjusted in (("p_holm", "p_value"), ("p_equivalence", "p_equivalence")):
        found[column] = families[adjusted].transform(_adjusted).astype(float)
    found["verdict"] = [
        NO_USE
        if row["floor"] == USELESS and row["role"] != TRIVIAL
        else _verdict(row["difference"], row["p_holm"], row["p_equivalence"], row["alternative"])
        for row in found.to_dict("records")
    ]
    each = found.groupby(["pair", "model", "metric"])["verdict"]
    found["agreed"] = found["verdict"].where(each.transform("nunique") == 1, DISPUTED)
    return found[list(COLUMNS)]


def _points(
    study: StudyResults, pair: str, models: list[Model], utility: str, metric: str
) -> list[_Point]:
    points = []
    floors = {
        name: float(found[_LOSS].by_seed.mean())
        for (of, name), found in study.floors.items()
        if of == pair
    }
    for model in models:
        found = study.pooled[pair, model.model]
        # An undone model is no point of its own: it is a way to attack the released one.
        if model.kind not in ("teacher", "undone") and _LOSS in found:
            threshold = model.decision if metric == "member_accuracy" else ""
            attacks = study.attacks_on(pair, model)
            points.append(
                _point(found, utility, model.model, model.role, attacks, metric, threshold, floors)
            )
    for (of, name), found in study.floors.items():
        if of == pair and points:
            attacks = {attack: (attack, found) for attack, which, _ in found if which == "auc"}
            threshold = "cross_fitted" if metric == "member_accuracy" else ""
            point = _point(found, utility, name, COUNTED, attacks, metric, threshold, floors)
            if not FLOORS[name].members:
                point = _without_leakage(point, AT_EQUAL_UTILITY[metric])
            points.append(point)
    return points


def _point(
    found: Mapping[Key, Pooled],
    utility: str,
    name: str,
    role: str,
    attacks: Mapping[str, tuple[str, Mapping[Key, Pooled]]],
    metric: str,
    threshold: str,
    floors: Mapping[str, float],
) -> _Point:
    loss, losses, loss_ends = cost(utility, found)
    ranked_by = metric if metric.startswith("tpr") else "auc"
    ranks = np.array([on[attack, ranked_by, ""].by_seed for attack, on in attacks.values()])
    estimates = [on[attack, metric, threshold] for attack, on in attacks.values()]
    best = frontier.strongest(ranks)
    seeds = range(len(best))
    most = int(np.bincount(best).argmax())
    return _Point(
        name,
        role,
        "" if role == COUNTED else worse_than(float(found[_LOSS].by_seed.mean()), floors),
        [*attacks][most],
        loss,
        losses,
        loss_ends,
        np.array([estimates[best[seed]].by_seed[seed] for seed in seeds]),
        np.stack([estimates[best[seed]].replicates[seed] for seed in seeds]),
        np.stack([estimates[best[seed]].ends[seed] for seed in seeds]),
    )


def cost(utility: str, found: Mapping[Key, Pooled]) -> tuple[Floats, Floats, Floats]:
    """(S,) the cost of each seed by a measure of utility, (S, B) its replicates, and (S, 2) the
    ends of its interval.
    """
    # Count models need no temperature.
    loss = found["", "heldout_loss", ""]
    estimate = found.get(("", UTILITIES[utility], ""), loss)
    if utility == "top1_error":
        return 1 - estimate.by_seed, 1 - estimate.replicates, 1 - estimate.ends[:, ::-1]
    return estimate.by_seed, estimate.replicates, estimate.ends


def _rows(
    pair: Pair, names: tuple[str, str, str], points: list[_Point], margin: float
) -> list[tuple[object, ...]]:
    name, utility, metric = names
    trivial = [point for point in points if point.role in (TRIVIAL, COUNTED)]
    if trivial and pair.vocabulary is not None:
        at_random = (
            1 - 1 / pair.vocabulary if utility == "top1_error" else math.log(pair.vocabulary)
        )
        trivial.append(_uniform(trivial[0], at_random, AT_EQUAL_UTILITY[metric]))
    on_front = _named(points, frontier.front)
    on_trivial = _named(trivial, frontier.hull)
    compared_with = [point for point in points if point.role not in (TRIVIAL, COUNTED)]
    compared_with = [point for point in compared_with if point.floor != USELESS] if trivial else []
    rows: list[tuple[object, ...]] = []
    for point in points:
        loss = over_seeds(
            point.loss, point.losses, within=range_of(UTILITIES[utility]), ends=point.loss_ends
        )
        leakage = over_seeds(
            point.leakage, point.leakages, within=range_of(metric), ends=point.leakage_ends
        )
        spread = float(point.leakage.std(ddof=1)) if len(point.leakage) > 1 else math.nan
        compared: tuple[object, ...] = ("", *(math.nan,) * 6)
        if point in compared_with:
            compared = _compare(point, trivial, margin, len(compared_with))
        rows.append(
            (
                name,
                point.model,
                point.role,
                point.floor,
                utility,
                metric,
                point.attack,
                loss.value,
                loss.low,
                loss.high,
                leakage.value,
                leakage.low,
                leakage.high,
                spread,
                point.model in on_front,
                point.model in on_trivial,
                *compared,
            )
        )
    return rows


def _without_leakage(point: _Point, chance: float) -> _Point:
    """The same without what is known to be luck: the model has seen no member."""
    return replace(
        point,
        leakage=np.full_like(point.leakage, chance),
        leakages=np.full_like(point.leakages, chance),
        leakage_ends=np.full_like(point.leakage_ends, chance),
    )


def _uniform(like: _Point, loss: float, chance: float) -> _Point:
    """The model without training, with as many seeds and replicates as another one."""
    uniform = replace(
        like,
        model=UNIFORM,
        role=TRIVIAL,
        attack="",
        loss=np.full_like(like.loss, loss),
        losses=np.full_like(like.losses, loss),
        loss_ends=np.full_like(like.loss_ends, loss),
    )
    return _without_leakage(uniform, chance)


def _named(points: list[_Point], chosen: Callable[[Floats, Floats], NDArray[np.int64]]) -> set[str]:
    """The models that `chosen` picks by their mean loss and leakage."""
    loss = np.array([point.loss.mean() for point in points])
    leakage = np.array([point.leakage.mean() for point in points])
    return {points[row].model for row in chosen(loss, leakage)}


def _compare(
    point: _Point, trivial: list[_Point], margin: float, comparisons: int
) -> tuple[object, ...]:
    """(alternative, difference, low, high, p-value, that of equivalence, what is detectable)."""
    losses = np.array([other.loss for other in trivial])
    leakages = np.array([other.leakage for other in trivial])
    lows, highs = np.moveaxis(np.array([other.leakage_ends for other in trivial]), 2, 0)
    differences, replicates, ends = [], [], []
    for seed, target in enumerate(frontier.others_mean(point.loss)):
        at = frontier.place(
            target,
            frontier.others_mean(losses)[:, seed],
            frontier.others_mean(leakages)[:, seed],
        )
        here = slice(seed, seed + 1)
        differences += list(
            frontier.excess(
                point.loss[here], point.leakage[here], losses[:, here], leakages[:, here], at
            )
        )
        replicates.append(
            frontier.excess(
                point.losses[seed],
                point.leakages[seed],
                np.array([other.losses[seed] for other in trivial]),
                np.array([other.leakages[seed] for other in trivial]),
                at,
            )
        )
        drawn = bootstrap.interval(replicates[-1])
        if not np.nanstd(point.leakages[seed]) and not np.nanstd(replicates[-1]):
            # Nothing varies, as where an attack finds no member: any two leakages within their own
            # intervals may be the true ones.
            low, high = point.leakage_ends[seed]
            drawn = (low - frontier.toss(highs, at)[seed], high - frontier.toss(lows, at)[seed])
        ends.append(drawn)
    found = over_seeds(np.array(differences), np.stack(replicates), ends=np.array(ends))
    p_value = two_sided(found.value, found.standard_error, found.degrees)
    difference = Difference(
        found.value, found.low, found.high, p_value, found.standard_error, found.degrees
    )
    return (
        _alternative(point, trivial),
        found.value,
        found.low,
        found.high,
        p_value,
        tost(difference, margin).p_value,
        detectable(difference, LEVEL / comparisons, POWER),
    )


def _alternative(point: _Point, trivial: list[_Point]) -> str:
    """What a model is compared with at the means over seeds, and whether it lies beyond."""
    overall = frontier.place(
        point.loss.mean(),
        np.array([other.loss.mean() for other in trivial]),
        np.array([other.leakage.mean() for other in trivial]),
    )
    left, right = trivial[overall.left], trivial[overall.right]
    if left is not right:
        return f"{left.model} to {right.model}"
    further = difference_over_seeds(point.loss, point.losses, left.loss, left.losses)
    if overall.inside or further.p_value >= LEVEL:
        return left.model
    return f"{MORE if further.difference < 0 else LESS}; {left.model}"


def _adjusted(p_values: "pd.Series[float]") -> Floats:
    """Holm's correction among the models that were compared."""
    p = np.asarray(p_values, np.float64)
    compared = ~np.isnan(p)
    adjusted = np.full_like(p, math.nan)
    adjusted[compared] = holm(p[compared])
    return adjusted


def _verdict(difference: float, p_holm: float, p_equivalence: float, alternative: str) -> str:
    if math.isnan(p_holm):
        return ""
    shown = "equivalent" if p_equivalence < LEVEL else "not distinguishable"
    if p_holm < LEVEL:
        shown = "better" if difference < 0 else "worse"
    # Beyond the frontier only that counts which is worse, or better, in both.
    for beyond, both in ((MORE, "better"), (LESS, "worse")):
        if alternative.startswith(beyond) and shown != both:
            return beyond
    return shown


def _said(findings: Findings, row: Mapping[str, Any]) -> str:
    """The attack of a row with its threat model and, where it attacks an undone model, how that was
    undone. Count models are attacked the same way in every study, whatever its attacks are."""
    if row["role"] == COUNTED or not row["attack"]:
        return row["attack"] or NONE
    name, blank, undone = row["attack"].partition(" ")
    return f"{findings.said(name)}{blank}{undone}"


def printed(findings: Findings) -> list[Printed]:
    """A row for each metric and model, at equal held-out loss."""
    labels = findings.labels()
    labels |= {
        (pair, name): floor.label for pair in findings.pairs() for name, floor in FLOORS.items()
    }
    first, *others = UTILITIES
    by_utility = {
        utility: {
            (row["pair"], row["model"], row["metric"]): row["verdict"]
            for row in findings.rows("frontier", utility=utility)
        }
        for utility in others
    }
    table = findings.print(
        "frontier",
        "At equal utility: against the trivial frontier",
        "Leakage to the strongest attack, and its difference from the trivial alternatives at the "
        "same held-out loss (nats per token); attack and alternatives are picked on the other "
        "seeds, or on the only one. Attacks first undo what can be undone, where that finds more. "
        "Uniform: a model without training. Count models, of words and "
        "runs of words in public text, are alternatives, too; a model that predicts worse than the "
        f"{USELESS} of public text gets no other verdict. Below 0: the model leaks less than doing "
        "something trivial. p is corrected by Holm's method for all models of the pair and the "
        "metric; models without a verdict have their role instead. A verdict is stated where it is "
        "the same by all measures of utility; the columns at the end say what the others lead to. "
        "Equivalent: shown to differ by less than "
        f"{findings.margin:g}. Detectable: so large a difference would have been found with "
        f"probability {POWER:g}. Front: on the Pareto front of all models. {INTERVALS}",
        (
            "model",
            "metric",
            "verdict",
            "difference",
            "p",
            "detectable",
            "leakage",
            "held-out loss",
            "attack",
            "compared with",
            "front",
            *(f"at equal {COST_NAMES[utility]}" for utility in others),
        ),
        [
            (
                pair,
                (
                    labels[pair, row["model"]],
                    METRIC_NAMES[metric],
                    row["agreed"] or row["role"],
                    difference(row),
                    p_value(row["p_holm"]),
                    number(row["detectable"], 3),
                    interval(row, "leakage"),
                    interval(row, "loss"),
                    _said(findings, row),
                    row["alternative"].replace("_", " ") or NONE,
                    "yes" if row["front"] else "no",
                    *(rows[pair, row["model"], metric] or NONE for rows in by_utility.values()),
                ),
            )
            for pair in findings.pairs()
            for metric in AT_EQUAL_UTILITY
            for row in findings.rows("frontier", pair=pair, metric=metric, utility=first)
        ],
    )
    return [table]
