"""effects: through which model a record leaks."""

import pandas as pd

from distilleak.tables.base import Columns
from distilleak.tables.printing import INTERVALS, Findings, Printed, interval
from distilleak.tables.results import StudyResults

COLUMNS: Columns = {
    "pair": str,
    "model": str,
    "attack": str,
    "effect": str,
    "value": float,
    "low": float,
    "high": float,
}
EFFECTS = {
    "auc_teacher": "teacher only",
    "auc_student": "student only",
    "auc_both": "both",
    "auc_teacher_given_student": "teacher, given the student",
    "auc_student_given_teacher": "student, given the teacher",
    "interaction": "interaction",
}
"""Those of `metrics.factorial`, each as people read it."""


def build(study: StudyResults) -> pd.DataFrame:
    """AUCs between the groups of a factorial split; without rows where the split is paired."""
    rows = [
        (pair, model.model, attack, effect, found.value, found.low, found.high)
        for pair, model in study.roster.models()
        for attack in study.roster.attacks
        for effect in EFFECTS
        if (found := study.pooled[pair, model.model].get((attack, effect, "")))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed(findings: Findings) -> list[Printed]:
    """A row for each model of a factorial split; none where the split is paired."""
    found = {
        (row["pair"], row["model"], row["effect"]): row
        for row in findings.rows("effects", attack=findings.attack)
    }
    table = findings.print(
        "effects",
        "Effects of the teacher's and of the student's training, attack " + findings.attack,
        "AUC between records that the teacher only, the student only or both trained on and "
        "records of neither, or given that the other one trained on both (0.5: no effect). "
        "Interaction 0: the two effects add up. There are no rows where the split is paired. All "
        f"attacks: effects.csv. {INTERVALS}",
        ("model", *EFFECTS.values()),
        [
            (pair, (label, *(interval(found.get((pair, model, effect))) for effect in EFFECTS)))
            for (pair, model), label in findings.labels().items()
            if any((pair, model, effect) in found for effect in EFFECTS)
        ],
    )
    return [table]
