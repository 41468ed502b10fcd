"""supervision: does the teacher hand its members' own text on, or something else?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from distilleak.metrics.bootstrap import interval, weights
from distilleak.metrics.rates import Floats, chunks
from distilleak.tables.base import Estimate, pool
from distilleak.tables.results import Results, Supervision
from distilleak.tables.roster import Roster

COLUMNS = [
    *("pair", "group", "records", "tokens"),
    *("agreement", "agreement_low", "agreement_high"),
    *("confidence", "confidence_low", "confidence_high"),
]
GROUPS = ("vulnerable", "other")


def build(layout: Roster, results: Results, replicates: int) -> pd.DataFrame:
    """The table.

    Agreement is the share of tokens that are the teacher's most likely one, confidence the mean
    probability of the most likely one, over all tokens of the group. Intervals: bootstrap over
    the group's records, pooled over the seeds in which the group is not empty.
    """
    rows = []
    for name in layout.pairs:
        by_seed = {seed: results.supervision[seed, name] for seed in layout.seeds}
        for group in GROUPS:
            found = [
                (members, seed, side)
                for seed, members in by_seed.items()
                if (side := members.vulnerable == (group == "vulnerable")).any()
            ]
            if found:
                records = sum(int(side.sum()) for _, _, side in found)
                tokens = sum(int(members.tokens[side].sum()) for members, _, side in found)
                shares = [_shares(*each, replicates) for each in found]
                rows.append((name, group, records, tokens, *_pooled(shares)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _shares(
    members: Supervision, seed: int, side: NDArray[np.bool_], count: int
) -> tuple[Estimate, Estimate]:
    """Agreement and confidence of the members in `side`."""
    columns = np.stack([members.correct, members.confidence, members.tokens], axis=1)[side]
    columns = columns.astype(np.float64)
    drawn = weights(np.ones(len(columns), np.bool_), count, seed)
    sums = np.concatenate([drawn[rows].astype(np.float64) @ columns for rows in chunks(drawn)])
    total = columns.sum(axis=0)
    agreement, confidence = (
        _estimate(total[column] / total[2], sums[:, column] / sums[:, 2]) for column in (0, 1)
    )
    return agreement, confidence


def _estimate(value: float, replicates: Floats) -> Estimate:
    return Estimate(float(value), *interval(replicates), replicates)


def _pooled(shares: Sequence[tuple[Estimate, Estimate]]) -> list[float]:
    row: list[float] = []
    for estimates in zip(*shares, strict=True):
        found = pool(estimates)
        row += [found.value, found.low, found.high]
    return row
