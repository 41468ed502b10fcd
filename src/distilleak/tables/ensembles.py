"""ensembles: do more students together leak less, and vary less from seed to seed?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from distilleak.metrics.measure import ACCURACIES
from distilleak.metrics.ranges import range_of
from distilleak.metrics.rates import Floats
from distilleak.metrics.seeds import difference_over_seeds, over_seeds
from distilleak.tables.base import Columns, Key, Pooled, PooledMetrics
from distilleak.tables.printing import (
    INTERVALS,
    Findings,
    Printed,
    difference,
    interval,
    number,
)
from distilleak.tables.results import StudyResults
from distilleak.tables.roster import Model, Pair
from distilleak.tables.wording import METRIC_NAMES

COLUMNS: Columns = {
    "pair": str,
    "kind": str,
    "size": int,
    "models": int,
    "attack": str,
    "metric": str,
    "value": float,
    "low": float,
    "high": float,
    "seed_sd": float,
    "seeds": int,
    "difference": float,
    "difference_low": float,
    "difference_high": float,
    "p_value": float,
}
KINDS = ("vote", "mixture")
AVERAGE = "average"
SINGLE = "single"
LOSS = "heldout_loss"
METRICS = ("auc", "tpr_at_fpr_0.01", *ACCURACIES, LOSS)
LIKE = 0.1
"""A student counts as large as an ensemble if its parameters differ from the sum of theirs by this
share at most."""


def build(study: StudyResults) -> pd.DataFrame:
    """The table: the mean over all ensembles of a kind and size, and its spread over seeds.

    Size 1 is the single students that are in any ensemble, whatever the kind. The kind `average` is
    the mean over the students of each ensemble of that size: what they do on average, each by
    itself. The kind `single` is students as large as an ensemble of that size, alone. Accuracies
    are at each model's own decision: a majority for votes, the cross-fitted threshold otherwise.
    `seed_sd` is the sample standard deviation over seeds, NaN with one seed; where there are
    several models of a kind and size, the root of their mean variance, so that it is that of one of
    them. `difference` is the value minus that of `average` at the same size, paired on records and
    seeds, NaN where a size or kind is compared with nothing. The held-out loss depends on no
    attack, and votes have none.

    Students and mixtures that can be undone count as undone, as in votes: with the leakage that is
    left after an attacker has taken out what can be taken out, and the loss of what is released.
    """
    pooled = study.pooled
    rows = [
        (
            name,
            kind,
            size,
            len(groups),
            attack,
            metric,
            *_described(drawn := _drawn(name, groups, attack, metric, pooled), metric),
            *_against(
                drawn, name, alone.get(size) if kind != AVERAGE else None, attack, metric, pooled
            ),
        )
        for name, pair in study.roster.pairs.items()
        for alone in [_groups(name, pair, AVERAGE, pooled)]
        for kind in (*KINDS, AVERAGE, SINGLE)
        for size, groups in _groups(name, pair, kind, pooled).items()
        for metric in METRICS
        if metric != LOSS or kind != "vote"
        for attack in ([""] if metric == LOSS else study.roster.attacks)
        if all(
            _key(model, attack, metric) in pooled[name, model.model]
            for group in groups
            for model in group
        )
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _groups(
    name: str, pair: Pair, kind: str, pooled: PooledMetrics
) -> dict[int, list[list[Model]]]:
    """Size -> what is of this kind and size, each as the models whose mean it is."""
    if kind == AVERAGE:
        students = {
            model.model: pair.undone(model.model) or model for model in pair.of_kind("student")
        }
        subsets = list(dict.fromkeys(tuple(e.members) for e in pair.of_kind(*KINDS)))
        sizes = sorted({len(subset) for subset in subsets})
        return {
            size: [[students[m] for m in subset] for subset in subsets if len(subset) == size]
            for size in sizes
        }
    found = _alone(name, pair, pooled) if kind == SINGLE else _by_size(pair, kind)
    return {
        size: [[pair.undone(model.model) or model] for model in models]
        for size, models in found.items()
    }


def _alone(name: str, pair: Pair, pooled: PooledMetrics) -> dict[int, list[Model]]:
    """Ensembles' size -> students with as many parameters as the ensemble together."""

    def parameters(model: str) -> float:
        found = pooled[name, model].get(("", "parameters", ""))
        return float("nan") if found is None else found.value

    together = [
        (len(model.members), sum(parameters(member) for member in model.members))
        for model in pair.of_kind(*KINDS)
    ]
    found = {
        size: [
            student
            for student in pair.of_kind("student")
            if any(
                abs(parameters(student.model) - total) <= LIKE * total
                for like, total in together
                if like == size
            )
        ]
        for size in sorted({size for size, _ in together})
    }
    return {size: students for size, students in found.items() if students}


def _key(model: Model, attack: str, metric: str) -> Key:
    return attack, metric, model.decision if metric in ACCURACIES else ""


def _by_size(pair: Pair, kind: str) -> dict[int, list[Model]]:
    ensembles = pair.of_kind(kind)
    if not ensembles:
        return {}
    inside = {student for model in pair.of_kind(*KINDS) for student in model.members}
    sizes = {1: [model for model in pair.of_kind("student") if model.model in inside]}
    for size in sorted({len(model.members) for model in ensembles} - {1}):
        sizes[size] = [model for model in ensembles if len(model.members) == size]
    return {size: models for size, models in sizes.items() if models}


@dataclass(frozen=True)
class _Drawn:
    """A metric of the models of a kind and size."""

    by_seed: Floats  # (models, S)
    replicates: Floats  # (models, S, B)
    ends: Floats  # (models, S, 2), of every seed's own interval

    def mean(self) -> tuple[Floats, Floats, Floats]:
        """Over the models, seed by seed: (S,), (S, B) and (S, 2).

        The mean of several intervals is wider than the interval of the mean, if little: all models
        are measured on the same records.
        """
        return self.by_seed.mean(axis=0), self.replicates.mean(axis=0), self.ends.mean(axis=0)


def _drawn(
    pair: str, groups: Sequence[list[Model]], attack: str, metric: str, pooled: PooledMetrics
) -> _Drawn:
    found: list[list[Pooled]] = [
        [pooled[pair, model.model][_key(model, attack, metric)] for model in group]
        for group in groups
    ]
    return _Drawn(
        np.array([np.mean([each.by_seed for each in group], axis=0) for group in found]),
        np.array([np.mean([each.replicates for each in group], axis=0) for group in found]),
        np.array([np.mean([each.ends for each in group], axis=0) for group in found]),
    )


def _described(drawn: _Drawn, metric: str) -> tuple[float, float, float, float, int]:
    """(value, low, high, seed_sd, seeds)."""
    by_seed, replicates, ends = drawn.mean()
    joint = over_seeds(by_seed, replicates, within=range_of(metric), ends=ends)
    seeds = drawn.by_seed.shape[1]
    spread = math.nan
    if seeds > 1:
        spread = float(np.sqrt(drawn.by_seed.var(axis=1, ddof=1).mean()))
    return joint.value, joint.low, joint.high, spread, seeds


def _against(
    drawn: _Drawn,
    pair: str,
    alone: Sequence[list[Model]] | None,
    attack: str,
    metric: str,
    pooled: PooledMetrics,
) -> tuple[float, float, float, float]:
    """The difference from the students of `alone`: (difference, low, high, p-value)."""
    if alone is None:
        return (math.nan,) * 4
    a, replicates_a, ends_a = drawn.mean()
    b, replicates_b, ends_b = _drawn(pair, alone, attack, metric, pooled).mean()
    found = difference_over_seeds(a, replicates_a, b, replicates_b, ends_a, ends_b)
    return found.difference, found.low, found.high, found.p_value


def printed(findings: Findings) -> list[Printed]:
    """A row for each metric, kind and size."""
    table = findings.print(
        "ensembles",
        f"Ensembles, attack {findings.said(findings.attack)}",
        "Mixture: a model, the average of the students' next-token distributions. Vote: no model, "
        "but an attacker who holds all of these students (threat model several). Mean over all "
        "ensembles (subsets) with this number of students; one student: the single students. "
        "Average: the students of those ensembles, each by itself. Single: one student "
        "as large as all of them together. Standard deviation between seeds: that of one "
        "ensemble. Difference: from that average, paired. What can be undone is attacked undone. "
        f"{INTERVALS}",
        (
            "metric",
            "kind",
            "students",
            "subsets",
            "value",
            "standard deviation between seeds",
            "difference",
        ),
        [
            (
                pair,
                (
                    METRIC_NAMES[metric],
                    row["kind"],
                    number(row["size"]),
                    number(row["models"]),
                    interval(row),
                    number(row["seed_sd"], 4),
                    difference(row),
                ),
            )
            for pair in findings.pairs()
            for metric in METRICS
            for row in findings.rows(
                "ensembles", pair=pair, metric=metric, attack=(findings.attack, "")
            )
        ],
    )
    return [table]
