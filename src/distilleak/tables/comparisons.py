"""comparisons: how much more or less each model leaks, or loses, than the teacher and than kd."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from distilleak.metrics.compare import holm
from distilleak.metrics.equivalence import tost, verdict
from distilleak.metrics.measure import ACCURACIES
from distilleak.metrics.rates import Floats
from distilleak.metrics.seeds import difference_over_seeds
from distilleak.tables.base import PooledMetrics
from distilleak.tables.roster import Model, Roster

COLUMNS = [
    *("pair", "model", "baseline", "attack", "metric", "threshold"),
    *("difference", "low", "high", "p_value", "p_equivalence", "p_holm", "verdict"),
]
BASELINES = ("teacher", "kd")
RANKED = ("auc", "tpr_at_fpr_0.01")  # metrics that need no threshold
LEVEL = 0.05
FAMILY = ["pair", "baseline", "metric"]


def build(layout: Roster, pooled: PooledMetrics, margin: float) -> pd.DataFrame:
    """The table: model minus baseline, paired on the same records and seeds.

    A vote's accuracies at its majority are set against the baseline's at its cross-fitted
    threshold. `p_holm` corrects `p_value` for all comparisons of the same pair, baseline and
    metric. `p_equivalence` is that of "the difference is as large as the margin or larger", so
    corrected; the held-out loss has another unit and none. `verdict` puts the two together.
    """
    rows = [
        row
        for name, pair in layout.pairs.items()
        for baseline in BASELINES
        if (against := pair.named(baseline)) is not None
        for model in pair.models
        if model.kind != "teacher" and model != against
        for row in _compare(layout, name, model, against, pooled, margin)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS[:-2])
    families = table.groupby(FAMILY)
    table["p_holm"] = families["p_value"].transform(_adjusted).astype(float)
    table["p_equivalence"] = families["p_equivalence"].transform(_adjusted).astype(float)
    table["verdict"] = [
        _verdict(p, same) for p, same in zip(table["p_holm"], table["p_equivalence"], strict=True)
    ]
    return table


def _compare(
    layout: Roster,
    pair: str,
    model: Model,
    baseline: Model,
    pooled: PooledMetrics,
    margin: float,
) -> Iterator[tuple[object, ...]]:
    ours, theirs = pooled[pair, model.model], pooled[pair, baseline.model]
    wanted = [
        (attack, metric, threshold)
        for attack in layout.attacks
        for metric, threshold in [
            *((metric, "") for metric in RANKED),
            *((metric, model.decision) for metric in ACCURACIES),
        ]
    ]
    wanted += [key for key in [("", "heldout_loss", "")] if key in ours and key in theirs]
    for attack, metric, threshold in wanted:
        a = ours[attack, metric, threshold]
        b = theirs[attack, metric, baseline.decision if threshold else ""]
        found = difference_over_seeds(a.by_seed, a.replicates, b.by_seed, b.replicates)
        same = tost(found, margin).p_value if attack else math.nan
        names = (pair, model.model, baseline.model, attack, metric, threshold)
        yield *names, found.difference, found.low, found.high, found.p_value, same


def _adjusted(p_values: "pd.Series[float]") -> Floats:
    p = np.asarray(p_values, np.float64)
    return p if np.isnan(p).all() else holm(p)


def _verdict(p_difference: float, p_equivalence: float) -> str:
    if math.isnan(p_equivalence):
        return "different" if p_difference < LEVEL else "inconclusive"
    return verdict(p_difference, p_equivalence, LEVEL)
