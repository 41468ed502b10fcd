"""ensembles: do more students together leak less, and vary less from seed to seed?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from distilleak.metrics.measure import ACCURACIES
from distilleak.metrics.seeds import over_seeds
from distilleak.tables.base import Key, Layout, Model, Pair, Pooled, PooledMetrics

COLUMNS = [
    *("pair", "kind", "size", "models", "attack", "metric", "value", "low", "high"),
    *("seed_sd", "seeds"),
]
KINDS = ("vote", "mixture")
SINGLE = "single"
LOSS = "heldout_loss"
METRICS = ("auc", "tpr_at_fpr_0.01", *ACCURACIES, LOSS)
LIKE = 0.1
"""A student is as large as an ensemble if its parameters are so near to the sum of theirs."""


def build(layout: Layout, pooled: PooledMetrics) -> pd.DataFrame:
    """The table: the mean over all ensembles of a kind and size, and its spread over seeds.

    Size 1 is the mean of the single students that are in any ensemble, whatever the kind; it is
    what larger sizes are to be compared with. Accuracies are at each model's own decision: a
    majority for votes, the cross-fitted threshold otherwise. `seed_sd` is the sample standard
    deviation over seeds of that mean, NaN with one seed. The kind `single` is students as large as
    an ensemble of that size, alone. The held-out loss depends on no attack, and votes have none.
    """
    rows = [
        (
            *(name, kind, size, len(models), attack, metric),
            *_mean(name, models, attack, metric, pooled),
        )
        for name, pair in layout.pairs.items()
        for kind in (*KINDS, SINGLE)
        for size, models in (
            _alone(name, pair, pooled) if kind == SINGLE else _by_size(pair, kind)
        ).items()
        for metric in METRICS
        if metric != LOSS or kind != "vote"
        for attack in ([""] if metric == LOSS else layout.attacks)
        if all(_key(model, attack, metric) in pooled[name, model.model] for model in models)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _alone(name: str, pair: Pair, pooled: PooledMetrics) -> dict[int, list[Model]]:
    """Ensembles' size -> students with as many parameters as such an ensemble together."""

    def parameters(model: str) -> float:
        found = pooled[name, model].get(("", "parameters", ""))
        return float("nan") if found is None else found.value

    together = {
        len(model.members): sum(parameters(member) for member in model.members)
        for model in pair.of_kind(*KINDS)
    }
    found = {
        size: [
            student
            for student in pair.of_kind("student")
            if abs(parameters(student.model) - total) <= LIKE * total
        ]
        for size, total in sorted(together.items())
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


def _mean(
    pair: str, models: Sequence[Model], attack: str, metric: str, pooled: PooledMetrics
) -> tuple[float, float, float, float, int]:
    found: list[Pooled] = [
        pooled[pair, model.model][_key(model, attack, metric)] for model in models
    ]
    by_seed = np.mean([each.by_seed for each in found], axis=0)
    # Of the mean over the ensembles of a size, seed by seed.
    joint = over_seeds(by_seed, np.mean([each.replicates for each in found], axis=0))
    spread = float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else float("nan")
    return joint.value, joint.low, joint.high, spread, len(by_seed)
