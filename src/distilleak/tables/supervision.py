"""supervision: does the teacher pass its members' own text on, or something else?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from distilleak.metrics import bootstrap
from distilleak.metrics.ranges import SHARE
from distilleak.metrics.rates import Floats, chunks
from distilleak.tables.base import Columns, Estimate, pool
from distilleak.tables.printing import INTERVALS, Findings, Printed, interval, number
from distilleak.tables.results import StudyResults, Supervision

COLUMNS: Columns = {
    "pair": str,
    "group": str,
    "records": int,
    "tokens": int,
    "agreement": float,
    "agreement_low": float,
    "agreement_high": float,
    "confidence": float,
    "confidence_low": float,
    "confidence_high": float,
}
GROUPS = ("vulnerable", "other")


def build(study: StudyResults) -> pd.DataFrame:
    """The table.

    Agreement is the share of tokens that are the teacher's most likely one, confidence the mean
    probability of the most likely one, over all tokens of the group. Intervals: bootstrap over
    the group's records, pooled over the seeds in which the group is not empty.
    """
    rows = []
    for name in study.roster.pairs:
        by_seed = {seed: study.results.supervision[seed, name] for seed in study.roster.seeds}
        for group in GROUPS:
            found = [
                (members, seed, side)
                for seed, members in by_seed.items()
                if (side := members.vulnerable == (group == "vulnerable")).any()
            ]
            if found:
                records = sum(int(side.sum()) for _, _, side in found)
                tokens = sum(int(members.tokens[side].sum()) for members, _, side in found)
                shares = [_shares(*each, study.evaluation.replicates) for each in found]
                rows.append((name, group, records, tokens, *_pooled(shares)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _shares(
    members: Supervision, seed: int, side: NDArray[np.bool_], count: int
) -> tuple[Estimate, Estimate]:
    """Agreement and confidence of the members in `side`."""
    columns = np.stack([members.correct, members.confidence, members.tokens], axis=1)[side]
    columns = columns.astype(np.float64)
    drawn = bootstrap.weights(np.ones(len(columns), np.bool_), count, seed)
    sums = np.concatenate(
        [block[rows].astype(np.float64) @ columns for block in drawn for rows in chunks(block)]
    )
    total = columns.sum(axis=0)
    agreement, confidence = (
        _estimate(
            total[column] / total[2],
            sums[:, column] / sums[:, 2],
            columns[:, column] / columns[:, 2],
        )
        for column in (0, 1)
    )
    return agreement, confidence


def _estimate(value: float, replicates: Floats, shares: Floats) -> Estimate:
    """With the interval of the replicates; if the members' own shares do not vary, by formula."""
    # Figures read this table and do without scipy, which takes long to import.
    from distilleak.metrics import closed

    ends = closed.mean(shares) or bootstrap.interval(replicates)
    return Estimate(float(value), *ends, replicates)


def _pooled(shares: Sequence[tuple[Estimate, Estimate]]) -> list[float]:
    row: list[float] = []
    for estimates in zip(*shares, strict=True):
        found = pool(estimates, SHARE)
        row += [found.value, found.low, found.high]
    return row


def printed(findings: Findings) -> list[Printed]:
    """A row for each group of members."""
    table = findings.print(
        "supervision",
        "The teacher's supervision",
        "Agreement: share of tokens at which the teacher's most likely token is the true one. "
        "Confidence: mean probability of its most likely token. Vulnerable members are those that "
        "the attack on the teacher identifies. With the loss attack these are the members with a "
        f"low loss, so part of the difference follows from the selection. {INTERVALS}",
        ("members", "records", "tokens", "agreement", "confidence"),
        [
            (
                row["pair"],
                (
                    row["group"],
                    number(row["records"]),
                    number(row["tokens"]),
                    interval(row, "agreement"),
                    interval(row, "confidence"),
                ),
            )
            for row in findings.rows("supervision")
        ],
    )
    return [table]
