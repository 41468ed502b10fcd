"""luck: how much results differ between seeds, and how much the evaluated records explain of it."""

from dataclasses import astuple

import numpy as np
import pandas as pd

from distilleak.metrics.seeds import spread
from distilleak.tables.base import PooledMetrics
from distilleak.tables.roster import Roster

COLUMNS = [
    *("pair", "model", "attack", "metric", "differing", "seeds"),
    *("seed_sd", "low", "high", "record_sd"),
]
METRICS = ("auc", "tpr_at_fpr_0.01", "heldout_loss")


def build(layout: Roster, pooled: PooledMetrics) -> pd.DataFrame:
    """The table: a row per pair, model, attack and metric; the held-out loss depends on no attack.

    `seed_sd` is the standard deviation between seeds with its 95 % interval, NaN for one seed, and
    `differing` what seeds differ in. `record_sd` is how much the metric of trained models varies
    when other records of the same distribution are evaluated: the root of the mean bootstrap
    variance within seeds. Seeds that share a split evaluate the same records, so what is then left
    is the luck of training.
    """
    rows = [
        (
            *(pair, model.model, attack, metric, layout.differing, len(found.by_seed)),
            *astuple(spread(found.by_seed)),
            float(np.sqrt(np.nanvar(found.replicates, axis=1, ddof=1).mean())),
        )
        for pair, model in layout.models()
        for metric in METRICS
        for attack in ([""] if metric == "heldout_loss" else layout.attacks)
        if (found := pooled[pair, model.model].get((attack, metric, ""))) is not None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
