"""blind and split: the conditions under which everything else was measured."""

from dataclasses import asdict

import pandas as pd

from distilleak.tables.base import Layout
from distilleak.tables.results import Results

BLIND_COLUMNS = [
    *("seed", "pair", "classifier", "auc", "low", "high", "p_value"),
    *("members", "nonmembers", "gate"),
]
SPLIT_COLUMNS = ["seed", "pair", "pool", "records"]


def build_blind(layout: Layout, results: Results) -> pd.DataFrame:
    """How well each classifier that never sees a model tells members from non-members.

    `gate` is the verdict on the pair's records in this seed, over all classifiers.
    """
    rows = [
        {"seed": str(seed), "pair": pair} | asdict(found)
        for seed in layout.seeds
        for pair in layout.pairs
        for found in results.blind[seed, pair]
    ]
    return pd.DataFrame(rows, columns=BLIND_COLUMNS)


def build_split(layout: Layout, results: Results) -> pd.DataFrame:
    """How many records each pool has."""
    rows = [
        (str(seed), pair, pool, records)
        for seed in layout.seeds
        for pair in layout.pairs
        for pool, records in results.pools[seed, pair].items()
    ]
    return pd.DataFrame(rows, columns=SPLIT_COLUMNS)
