"""comparisons: how much more or less each model leaks, or loses, than the teacher and than kd."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from distilleak.metrics.compare import holm
from distilleak.metrics.equivalence import tost, verdict
from distilleak.metrics.measure import ACCURACIES
from distilleak.metrics.rates import Floats
from distilleak.metrics.seeds import difference_over_seeds
from distilleak.tables.base import Columns
from distilleak.tables.printing import INTERVALS, Findings, Printed, difference, p_value
from distilleak.tables.reading import DECISIONS
from distilleak.tables.results import StudyResults
from distilleak.tables.roster import Model
from distilleak.tables.wording import METRIC_NAMES

COLUMNS: Columns = {
    "pair": str,
    "model": str,
    "baseline": str,
    "attack": str,
    "metric": str,
    "threshold": str,
    "difference": float,
    "low": float,
    "high": float,
    "p_value": float,
    "p_equivalence": float,
    "p_holm": float,
    "verdict": str,
}
BASELINES = ("teacher", "kd")
RANKED = ("auc", "tpr_at_fpr_0.01")  # metrics that need no threshold
_COMPARED = "compared"
"""Whose results are compared: those of an undone model may be another one's."""
LEVEL = 0.05
FAMILY = ["pair", "baseline", "metric"]
SHOWN = ("auc", "tpr_at_fpr_0.01", "member_accuracy", "nonmember_accuracy", "heldout_loss")


def build(study: StudyResults) -> pd.DataFrame:
    """The table: model minus baseline, paired on the same records and seeds.

    A vote's accuracies at its majority are set against the baseline's at its cross-fitted
    threshold. `p_holm` corrects `p_value` for all comparisons of the same pair, baseline and
    metric. `p_equivalence` is that of "the difference is as large as the margin or larger", so
    corrected; the held-out loss has another unit and none. `verdict` puts the two together.

    An undone model that is another one of the study has the rows of that one, which it shares, and
    none of them counts twice in a correction; where that one is the baseline itself, the difference
    is none.
    """
    rows = [
        row
        for name, pair in study.roster.pairs.items()
        for baseline in BASELINES
        if (against := pair.named(baseline)) is not None
        for model in pair.models
        if model.kind != "teacher" and model != against
        for row in _compare(study, name, model, against)
    ]
    table = pd.DataFrame(rows, columns=[*list(COLUMNS)[:-2], _COMPARED])
    comparison = [*FAMILY, "attack", "threshold", _COMPARED]
    counted = ~table.duplicated(comparison) & (table[_COMPARED] != table["baseline"])
    for column, uncorrected in (("p_holm", "p_value"), ("p_equivalence", "p_equivalence")):
        found = table[uncorrected]
        table[column] = table[counted].groupby(FAMILY)[uncorrected].transform(_adjusted)
        shared = table.groupby(comparison)[column].transform("first")
        table[column] = shared.fillna(found).astype(float)
    table["verdict"] = [
        _verdict(p, same) for p, same in zip(table["p_holm"], table["p_equivalence"], strict=True)
    ]
    return table[list(COLUMNS)]


def _compare(
    study: StudyResults, pair: str, model: Model, baseline: Model
) -> Iterator[tuple[object, ...]]:
    ours, theirs = study.pooled[pair, model.model], study.pooled[pair, baseline.model]
    metrics = [(metric, "") for metric in RANKED]
    metrics += [(metric, model.decision) for metric in ACCURACIES]
    wanted = [(attack, *metric) for attack in study.roster.attacks for metric in metrics]
    # The loss of an undone model is that of the released one, which has a row.
    losses = [("", "heldout_loss", "")] if model.kind != "undone" else []
    wanted += [key for key in losses if key in ours and key in theirs]
    for attack, metric, threshold in wanted:
        a = ours[attack, metric, threshold]
        b = theirs[attack, metric, baseline.decision if threshold else ""]
        found = difference_over_seeds(
            a.by_seed, a.replicates, b.by_seed, b.replicates, a.ends, b.ends
        )
        same = tost(found, study.evaluation.margin).p_value if attack else math.nan
        names = (pair, model.model, baseline.model, attack, metric, threshold)
        p_values = (found.p_value, same)
        yield *names, found.difference, found.low, found.high, *p_values, model.source


def _adjusted(p_values: "pd.Series[float]") -> Floats:
    p = np.asarray(p_values, np.float64)
    return p if np.isnan(p).all() else holm(p)


def _verdict(p_difference: float, p_equivalence: float) -> str:
    if math.isnan(p_equivalence):
        return "different" if p_difference < LEVEL else "inconclusive"
    return verdict(p_difference, p_equivalence, LEVEL)


def printed(findings: Findings) -> list[Printed]:
    """A row for each baseline, model and metric."""
    labels = findings.labels()
    rows = findings.rows(
        "comparisons", attack=(findings.attack, ""), threshold=("", *DECISIONS), metric=SHOWN
    )
    table = findings.print(
        "comparisons",
        f"Differences from the teacher and from kd, attack {findings.said(findings.attack)}",
        "Model minus baseline on the same records; below 0 the model leaks less, or its loss is "
        "smaller. p is two-sided and corrected by Holm's method for all comparisons of the pair, "
        "the baseline and the metric; the verdict goes by it, and not by the interval, which is "
        "not corrected. Equivalent: shown to differ by less than "
        f"{findings.margin:g}, by two one-sided tests, corrected likewise. An undone model that is "
        "another one of the study has the comparisons of that one. Other attacks, the "
        f"balanced accuracy and uncorrected p-values: comparisons.csv. {INTERVALS}",
        ("model", "baseline", "metric", "difference", "p", "verdict"),
        [
            (
                row["pair"],
                (
                    labels[row["pair"], row["model"]],
                    labels[row["pair"], row["baseline"]],
                    METRIC_NAMES[row["metric"]],
                    difference(row),
                    p_value(row["p_holm"]),
                    row["verdict"],
                ),
            )
            for row in rows
        ],
    )
    return [table]
