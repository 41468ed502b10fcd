"""blind: how well classifiers that see no model distinguish members from non-members."""

from dataclasses import asdict

import pandas as pd

from distilleak.tables.base import Columns
from distilleak.tables.printing import Findings, Printed, interval, number, p_value
from distilleak.tables.results import StudyResults

COLUMNS: Columns = {
    "seed": str,
    "pair": str,
    "classifier": str,
    "auc": float,
    "low": float,
    "high": float,
    "p_value": float,
    "members": int,
    "nonmembers": int,
    "gate": str,
}


def build(study: StudyResults) -> pd.DataFrame:
    """How well each classifier that never sees a model distinguishes members from non-members.

    `gate` is the verdict on the pair's records in this seed, over all classifiers.
    """
    rows = [
        {"seed": str(seed), "pair": pair} | asdict(found)
        for seed in study.roster.seeds
        for pair in study.roster.pairs
        for found in study.results.blind[seed, pair]
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed(findings: Findings) -> list[Printed]:
    """A row for each seed and classifier."""
    table = findings.print(
        "blind",
        "The blind audit",
        "Classifiers that never saw a model, members against non-members; on an honest split their "
        "AUC is near 0.5. An attack has shown something only where its AUC lies above these. p: "
        "permutation test. The gate is closed where the classifiers together say that the split is "
        "not honest. In brackets: 95 % intervals.",
        ("seed", "classifier", "AUC", "p", "members", "non-members", "gate"),
        [
            (
                row["pair"],
                (
                    row["seed"],
                    row["classifier"].replace("_", " "),
                    interval(row, "auc"),
                    p_value(row["p_value"]),
                    number(row["members"]),
                    number(row["nonmembers"]),
                    row["gate"],
                ),
            )
            for pair in findings.pairs()
            for row in findings.rows("blind", pair=pair)
        ],
    )
    return [table]
