"""split: how many records each pool has."""

import pandas as pd

from distilleak.tables.base import Columns
from distilleak.tables.printing import Findings, Printed, number
from distilleak.tables.results import StudyResults

COLUMNS: Columns = {
    "seed": str,
    "pair": str,
    "pool": str,
    "records": int,
}


def build(study: StudyResults) -> pd.DataFrame:
    """How many records each pool has."""
    rows = [
        (str(seed), pair, pool, records)
        for seed in study.roster.seeds
        for pair in study.roster.pairs
        for pool, records in study.results.pools[seed, pair].items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed(findings: Findings) -> list[Printed]:
    """A row for each seed, with the size of every pool."""
    rows = findings.rows("split")
    records = {(row["pair"], row["seed"], row["pool"]): row["records"] for row in rows}
    pools = list(dict.fromkeys(row["pool"] for row in rows))
    table = findings.print(
        "split",
        "The split",
        "Records in each pool.",
        ("seed", *pools),
        [
            (pair, (seed, *(number(records.get((pair, seed, pool))) for pool in pools)))
            for pair, seed in dict.fromkeys((row["pair"], row["seed"]) for row in rows)
        ],
    )
    return [table]
