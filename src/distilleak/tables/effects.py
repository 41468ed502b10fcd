"""effects: through which model a record leaks."""

import pandas as pd

from distilleak.metrics.factorial import CONTRASTS
from distilleak.tables.base import PooledMetrics
from distilleak.tables.roster import Roster

COLUMNS = ["pair", "model", "attack", "effect", "value", "low", "high"]
EFFECTS = (*(f"auc_{name}" for name in CONTRASTS), "interaction")


def build(layout: Roster, pooled: PooledMetrics) -> pd.DataFrame:
    """AUCs between the groups of a factorial split; without rows where the split is paired."""
    rows = [
        (pair, model.model, attack, effect, found.value, found.low, found.high)
        for pair, model in layout.models()
        for attack in layout.attacks
        for effect in EFFECTS
        if (found := pooled[pair, model.model].get((attack, effect, "")))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
