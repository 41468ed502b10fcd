"""blind: how well classifiers that see no model tell members from non-members."""

from dataclasses import asdict

import pandas as pd

from distilleak.tables.results import Results
from distilleak.tables.roster import Roster

COLUMNS = [
    *("seed", "pair", "classifier", "auc", "low", "high", "p_value"),
    *("members", "nonmembers", "gate"),
]


def build(layout: Roster, results: Results) -> pd.DataFrame:
    """How well each classifier that never sees a model tells members from non-members.

    `gate` is the verdict on the pair's records in this seed, over all classifiers.
    """
    rows = [
        {"seed": str(seed), "pair": pair} | asdict(found)
        for seed in layout.seeds
        for pair in layout.pairs
        for found in results.blind[seed, pair]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
