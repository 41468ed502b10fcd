"""metrics: every metric of every model, by seed and pooled over seeds, in long form."""

import pandas as pd

from distilleak.tables.base import Key, Pooled, PooledMetrics, pool
from distilleak.tables.results import Results
from distilleak.tables.roster import Roster

COLUMNS = ["seed", "pair", "model", "attack", "metric", "threshold", "value", "low", "high"]
POOLED = "all"


def pool_metrics(layout: Roster, results: Results) -> PooledMetrics:
    """Every metric of every model over the seeds that have it (a few depend on the draw)."""
    found: dict[tuple[str, str], dict[Key, Pooled]] = {}
    for pair, model in layout.models():
        by_seed = [results.estimates[seed, pair, model.model] for seed in layout.seeds]
        keys = dict.fromkeys(key for estimates in by_seed for key in estimates)
        found[pair, model.model] = {
            key: pool([estimates[key] for estimates in by_seed if key in estimates]) for key in keys
        }
    return found


def build(layout: Roster, results: Results, pooled: PooledMetrics) -> pd.DataFrame:
    """The table; `seed` is text, "all" for the rows pooled over seeds."""
    rows = [
        (str(seed), pair, model.model, *key, estimate.value, estimate.low, estimate.high)
        for seed in layout.seeds
        for pair, model in layout.models()
        for key, estimate in results.estimates[seed, pair, model.model].items()
    ]
    rows += [
        (POOLED, pair, model, *key, estimate.value, estimate.low, estimate.high)
        for (pair, model), metrics in pooled.items()
        for key, estimate in metrics.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
