"""split: how many records each pool has, and how many copies it lost."""

from typing import Any

import pandas as pd

from distilleak.tables.base import Columns
from distilleak.tables.printing import NONE, Findings, Printed, number
from distilleak.tables.results import StudyResults

COLUMNS: Columns = {
    "seed": str,
    "pair": str,
    "pool": str,
    "records": int,
    "copies_removed": int,
}


def build(study: StudyResults) -> pd.DataFrame:
    """How many records each pool has, and how many were copies of others once cut."""
    rows = [
        (str(seed), pair, pool, count.records, count.copies)
        for seed in study.roster.seeds
        for pair in study.roster.pairs
        for pool, count in study.results.pools[seed, pair].items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed(findings: Findings) -> list[Printed]:
    """A row for each seed, with the size of every pool."""
    rows = findings.rows("split")
    found = {(row["pair"], row["seed"], row["pool"]): row for row in rows}
    pools = list(dict.fromkeys(row["pool"] for row in rows))
    table = findings.print(
        "split",
        "The split",
        "Records in each pool. In brackets: how many more were drawn, and left out as they are "
        "copies of others, exact or near, once cut to the context.",
        ("seed", *pools),
        [
            (pair, (seed, *(_size(found.get((pair, seed, pool))) for pool in pools)))
            for pair, seed in dict.fromkeys((row["pair"], row["seed"]) for row in rows)
        ],
    )
    return [table]


def _size(row: dict[str, Any] | None) -> str:
    if row is None:
        return NONE
    copies = f" ({row['copies_removed']})" if row["copies_removed"] else ""
    return f"{number(row['records'])}{copies}"
