"""comparisons: how much more or less each model leaks, or loses, than the teacher and than kd."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from distilleak.metrics.compare import holm, paired_difference
from distilleak.metrics.measure import ACCURACIES
from distilleak.metrics.rates import Floats
from distilleak.tables.base import Layout, Model, PooledMetrics

COLUMNS = [
    *("pair", "model", "baseline", "attack", "metric", "threshold"),
    *("difference", "low", "high", "p_value", "p_holm"),
]
BASELINES = ("teacher", "kd")
RANKED = ("auc", "tpr_at_fpr_0.01")  # metrics that need no threshold
FAMILY = ["pair", "baseline", "metric"]


def build(layout: Layout, pooled: PooledMetrics) -> pd.DataFrame:
    """The table: model minus baseline, pooled over seeds, paired replicate by replicate.

    A vote's accuracies at its majority are set against the baseline's at its cross-fitted
    threshold. `p_holm` corrects for all comparisons of the same pair, baseline and metric.
    """
    rows = [
        row
        for name, pair in layout.pairs.items()
        for baseline in BASELINES
        if (against := pair.named(baseline)) is not None
        for model in pair.models
        if model.kind != "teacher" and model != against
        for row in _compare(layout, name, model, against, pooled)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    table["p_holm"] = table.groupby(FAMILY)["p_value"].transform(_adjusted).astype(float)
    return table


def _compare(
    layout: Layout, pair: str, model: Model, baseline: Model, pooled: PooledMetrics
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
        found = paired_difference(a.value, a.replicates, b.value, b.replicates)
        names = (pair, model.model, baseline.model, attack, metric, threshold)
        yield *names, found.difference, found.low, found.high, found.p_value


def _adjusted(p_values: "pd.Series[float]") -> Floats:
    return holm(np.asarray(p_values, np.float64))
