"""split: how many records each pool has."""

import pandas as pd

from distilleak.tables.results import Results
from distilleak.tables.roster import Roster

COLUMNS = ["seed", "pair", "pool", "records"]


def build(layout: Roster, results: Results) -> pd.DataFrame:
    """How many records each pool has."""
    rows = [
        (str(seed), pair, pool, records)
        for seed in layout.seeds
        for pair in layout.pairs
        for pool, records in results.pools[seed, pair].items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
