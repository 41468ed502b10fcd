"""ensembles: do more students together leak less, and vary less from seed to seed?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from distilleak.metrics.measure import ACCURACIES
from distilleak.metrics.seeds import over_seeds
from distilleak.tables.base import Layout, Model, Pair, Pooled, PooledMetrics

COLUMNS = [
    *("pair", "kind", "size", "models", "attack", "metric", "value", "low", "high"),
    *("seed_sd", "seeds"),
]
KINDS = ("vote", "mixture")
METRICS = ("auc", "tpr_at_fpr_0.01", *ACCURACIES)


def build(layout: Layout, pooled: PooledMetrics) -> pd.DataFrame:
    """The table: the mean over all ensembles of a kind and size, and its spread over seeds.

    Size 1 is the mean of the single students that are in any ensemble, whatever the kind; it is
    what larger sizes are to be compared with. Accuracies are at each model's own decision: a
    majority for votes, the cross-fitted threshold otherwise. `seed_sd` is the sample standard
    deviation over seeds of that mean, NaN with one seed.
    """
    rows = [
        (
            *(name, kind, size, len(models), attack, metric),
            *_mean(name, models, attack, metric, pooled),
        )
        for name, pair in layout.pairs.items()
        for kind in KINDS
        for size, models in _by_size(pair, kind).items()
        for attack in layout.attacks
        for metric in METRICS
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


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
        pooled[pair, m.model][attack, metric, m.decision if metric in ACCURACIES else ""]
        for m in models
    ]
    by_seed = np.mean([each.by_seed for each in found], axis=0)
    # Of the mean over the ensembles of a size, seed by seed.
    joint = over_seeds(by_seed, np.mean([each.replicates for each in found], axis=0))
    spread = float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else float("nan")
    return joint.value, joint.low, joint.high, spread, len(by_seed)
