"""blind and split: the conditions under which everything else was measured."""

from dataclasses import asdict

import pandas as pd

from distilleak.tables.base import Layout
from distilleak.tables.results import Results

BLIND_COLUMNS = ["seed", "classifier", "auc", "low", "high", "p_value", "members", "nonmembers"]
SPLIT_COLUMNS = ["seed", "pool", "records"]


def build_blind(layout: Layout, results: Results) -> pd.DataFrame:
    """How well each classifier that never sees a model tells members from non-members."""
    rows = [
        {"seed": str(seed)} | asdict(found)
        for seed in layout.seeds
        for found in results.blind[seed]
    ]
    return pd.DataFrame(rows, columns=BLIND_COLUMNS)


def build_split(layout: Layout, results: Results) -> pd.DataFrame:
    """How many records each pool has."""
    rows = [
        (str(seed), pool, records)
        for seed in layout.seeds
        for pool, records in results.pools[seed].items()
    ]
    return pd.DataFrame(rows, columns=SPLIT_COLUMNS)
