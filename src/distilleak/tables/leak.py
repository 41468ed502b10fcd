"""leak: does any attack find members, and which one shows the most?"""

import numpy as np
import pandas as pd

from distilleak.tables.base import Columns
from distilleak.tables.printing import Findings, Printed, interval, number
from distilleak.tables.results import StudyResults
from distilleak.tables.wording import METRIC_NAMES

COLUMNS: Columns = {
    "pair": str,
    "model": str,
    "attacks": int,
    "attack": str,
    "threat": str,
    "turned": bool,
    "auc": float,
    "low": float,
    "high": float,
    "reach": float,
    "tpr": float,
    "tpr_low": float,
    "tpr_high": float,
}


def build(study: StudyResults) -> pd.DataFrame:
    """The table: a row for each model, with the attack whose AUC lies farthest from chance, among
    those on the model alone.

    Of a model that can be undone the attacks on the undone one are tried, too, and named so.

    `turned` marks an attack that finds members by their low scores; its AUC is that after its sign
    is turned, and it has no TPR. `low` and `high` are corrected for the number of `attacks` that
    were tried (`metrics.picking.strongest`). `reach` is how far from chance an AUC must
    lie to be found with probability 0.8. `tpr` is the TPR at 1 % FPR of the same attack, with its
    own interval, which is not corrected.
    """
    from distilleak.metrics.picking import strongest

    rows = []
    for pair, model in study.roster.models():
        tried = study.attacks_on(pair, model)
        aucs = [tried_on[attack, "auc", ""] for attack, tried_on in tried.values()]
        labels = [
            study.results.scores[seed, pair, model.model].teacher_member
            for seed in study.roster.seeds
        ]
        found = strongest(
            np.stack([auc.by_seed for auc in aucs]),
            np.stack([auc.replicates for auc in aucs]),
            np.array([label.sum() for label in labels]),
            np.array([(~label).sum() for label in labels]),
        )
        named = [*tried][found.attack]
        attack, pooled = tried[named]
        tpr = None if found.turned else pooled.get((attack, "tpr_at_fpr_0.01", ""))
        rates = (np.nan,) * 3 if tpr is None else (tpr.value, tpr.low, tpr.high)
        rows.append(
            (
                pair,
                model.model,
                len(tried),
                named,
                study.roster.threats[attack],
                found.turned,
                found.value,
                found.low,
                found.high,
                found.reach,
                *rates,
            )
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed(findings: Findings) -> list[Printed]:
    """A row for each model."""
    labels = findings.labels()
    table = findings.print(
        "leak",
        "The strongest of all attacks",
        "For each model, the attack whose interval of the AUC lies farthest from 0.5. Below it, "
        "members have the lower scores: the attack is shown with its sign turned. A model "
        "that can be undone is attacked as it is and undone. The interval is "
        "corrected for the number of attacks that were tried, so it allows for the picking; it is "
        "by bootstrap over records, for the models as they are. A leak: the interval lies above "
        "0.5. Found from: an AUC this large would have been found with probability 0.8. The TPR "
        "is that of the same attack, with a 95 % interval that is not corrected. Attacks that hold "
        "the teacher as well are left out.",
        (
            "model",
            "attack",
            "threat model",
            "of",
            METRIC_NAMES["auc"],
            "found from",
            METRIC_NAMES["tpr_at_fpr_0.01"],
        ),
        [
            (
                row["pair"],
                (
                    labels[row["pair"], row["model"]],
                    f"{row['attack']}, turned" if row["turned"] else row["attack"],
                    row["threat"],
                    number(row["attacks"]),
                    interval(row, "auc"),
                    number(0.5 + row["reach"], 3),
                    interval(row, "tpr"),
                ),
            )
            for row in findings.rows("leak")
        ],
    )
    return [table]
