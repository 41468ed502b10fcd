"""epsilon: what privacy the attacks refute."""

import pandas as pd

from distilleak.tables.results import Results
from distilleak.tables.roster import Roster

COLUMNS = ["seed", "pair", "model", "attack", "audit", "epsilon", "delta"]
AUDITS = ("held_out", "one_run")


def build(layout: Roster, results: Results, delta: float) -> pd.DataFrame:
    """Lower bounds on epsilon, seed by seed: a bound is of one training run, and has no mean."""
    rows = [
        (str(seed), pair, model.model, attack, audit, found.value, delta)
        for seed in layout.seeds
        for pair, model in layout.models()
        for attack in layout.attacks
        for audit in AUDITS
        if (found := results.estimates[seed, pair, model.model].get((attack, "epsilon", audit)))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
