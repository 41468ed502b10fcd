"""exposure: how exposed canaries are, against how often they were inserted."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from distilleak.settings.canaries import CanarySettings
from distilleak.tables.base import Columns
from distilleak.tables.printing import Findings, Printed, interval
from distilleak.tables.wording import Interval

COLUMNS: Columns = {
    "pair": str,
    "model": str,
    "repetitions": int,
    "canaries": int,
    "exposure": float,
    "low": float,
    "high": float,
    "most": float,
}
UNSEEN = 1 / math.log(2)
"""Mean exposure, in bits, of a secret that no model has seen."""


def build(
    measured: Mapping[tuple[str, str], Sequence[Interval]], canaries: int, settings: CanarySettings
) -> pd.DataFrame:
    """The table.

    Args:
        measured: (pair, model) -> mean exposure in bits for each number of repetitions.
        canaries: How many a mean is of: those of one number of repetitions in all seeds.
        settings: Says the numbers of repetitions, and among how many candidates a secret is ranked.
    """
    most = math.log2(settings.candidates + 1)
    rows = [
        (pair, model, repetitions, canaries, *mean, most)
        for (pair, model), means in measured.items()
        for repetitions, mean in zip(settings.repetitions, means, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed(findings: Findings) -> list[Printed]:
    """A row for each model, with a column for each number of repetitions."""
    rows = findings.rows("exposure")
    found = {(row["pair"], row["model"], row["repetitions"]): row for row in rows}
    repetitions = list(dict.fromkeys(row["repetitions"] for row in rows))
    most = max(row["most"] for row in rows)
    table = findings.print(
        "exposure",
        "Exposure of canaries",
        "Mean exposure in bits of canaries, by how often they were inserted; a secret that no "
        f"model has seen has {UNSEEN:.2f} on average, the first of all candidates {most:.2f}. In "
        "brackets: 95 % intervals over canaries and, where there are several, seeds.",
        ("model", *(f"× {times}" for times in repetitions)),
        [
            (
                pair,
                (
                    label,
                    *(
                        interval(found.get((pair, model, times)), "exposure", ".2f")
                        for times in repetitions
                    ),
                ),
            )
            for (pair, model), label in findings.labels().items()
            if any((pair, model, times) in found for times in repetitions)
        ],
    )
    return [table]
