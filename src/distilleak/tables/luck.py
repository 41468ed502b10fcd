"""luck: how much results vary between seeds, and how much of it the evaluated records explain."""

import math
from dataclasses import astuple
from typing import Any

import numpy as np
import pandas as pd

from distilleak.metrics.seeds import spread
from distilleak.tables.base import Columns
from distilleak.tables.printing import Findings, Printed, interval, number
from distilleak.tables.results import StudyResults
from distilleak.tables.wording import METRIC_NAMES, listed

COLUMNS: Columns = {
    "pair": str,
    "model": str,
    "attack": str,
    "metric": str,
    "differing": str,
    "seeds": int,
    "seed_sd": float,
    "low": float,
    "high": float,
    "record_sd": float,
}
METRICS = ("auc", "tpr_at_fpr_0.01", "heldout_loss")


def build(study: StudyResults) -> pd.DataFrame:
    """The table: a row per pair, model, attack and metric; the held-out loss depends on no attack.

    `seed_sd` is the standard deviation between seeds with its 95 % interval, NaN for one seed, and
    `differing` what seeds differ in. `record_sd` is how much the metric of trained models varies
    when other records of the same distribution are evaluated: the root of the mean bootstrap
    variance within seeds. Seeds that share a split evaluate the same records; all that varies
    between them is then the training.
    """
    rows = [
        (
            pair,
            model.model,
            attack,
            metric,
            study.roster.differing,
            len(found.by_seed),
            *astuple(spread(found.by_seed)),
            float(np.sqrt(np.nanvar(found.replicates, axis=1, ddof=1).mean())),
        )
        for pair, model in study.roster.models()
        for metric in METRICS
        for attack in ([""] if metric == "heldout_loss" else study.roster.attacks)
        if (found := study.pooled[pair, model.model].get((attack, metric, ""))) is not None
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed(findings: Findings) -> list[Printed]:
    """A row for each model; none where there is a single seed."""
    rows = [
        row
        for row in findings.rows("luck", attack=(findings.attack, ""))
        if not math.isnan(row["seed_sd"])
    ]
    seeds = "A single seed has none."
    if rows:
        count = listed(sorted({str(row["seeds"]) for row in rows}))
        seeds = f"The {count} seeds differ in {listed(sorted({r['differing'] for r in rows}))}."
    found = {(row["pair"], row["model"], row["metric"]): row for row in rows}

    def cells(row: dict[str, Any] | None) -> tuple[str, str]:
        records = number(None if row is None else row["record_sd"], 4)
        return interval(row, "seed_sd", ".4f"), records

    table = findings.print(
        "luck",
        f"Variation between seeds, attack {findings.said(findings.attack)}",
        f"Standard deviation between seeds, with its 95 % interval. {seeds} Records: the standard "
        "deviation between draws of the evaluated records, for models as they are, by bootstrap. "
        "Single seeds and other attacks: luck.csv.",
        (
            "model",
            *(
                name
                for metric in map(METRIC_NAMES.__getitem__, METRICS)
                for name in (metric, f"{metric}: records")
            ),
        ),
        [
            (
                pair,
                (
                    label,
                    *(
                        cell
                        for metric in METRICS
                        for cell in cells(found.get((pair, model, metric)))
                    ),
                ),
            )
            for (pair, model), label in findings.labels().items()
            if any((pair, model, metric) in found for metric in METRICS)
        ],
    )
    return [table]
