"""epsilon and effects: what privacy the attacks refute, and through which model a record leaks."""

import pandas as pd

from distilleak.metrics.factorial import CONTRASTS
from distilleak.tables.base import Layout, PooledMetrics
from distilleak.tables.results import Results

EPSILON_COLUMNS = ["seed", "pair", "model", "attack", "audit", "epsilon", "delta"]
EFFECT_COLUMNS = ["pair", "model", "attack", "effect", "value", "low", "high"]
AUDITS = ("held_out", "one_run")
EFFECTS = (*(f"auc_{name}" for name in CONTRASTS), "interaction")


def build_epsilon(layout: Layout, results: Results, delta: float) -> pd.DataFrame:
    """Lower bounds on epsilon, seed by seed: a bound is of one training run, and has no mean."""
    rows = [
        (str(seed), pair, model.model, attack, audit, found.value, delta)
        for seed in layout.seeds
        for pair, model in layout.models()
        for attack in layout.attacks
        for audit in AUDITS
        if (found := results.estimates[seed, pair, model.model].get((attack, "epsilon", audit)))
    ]
    return pd.DataFrame(rows, columns=EPSILON_COLUMNS)


def build_effects(layout: Layout, pooled: PooledMetrics) -> pd.DataFrame:
    """AUCs between the groups of a factorial split; without rows where the split is paired."""
    rows = [
        (pair, model.model, attack, effect, found.value, found.low, found.high)
        for pair, model in layout.models()
        for attack in layout.attacks
        for effect in EFFECTS
        if (found := pooled[pair, model.model].get((attack, effect, "")))
    ]
    return pd.DataFrame(rows, columns=EFFECT_COLUMNS)
