"""success: on how many records the attack is right on teacher and student, on one, on neither."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from distilleak.metrics.thresholds import cross_fitted, folds
from distilleak.tables.base import Columns
from distilleak.tables.printing import Findings, Printed
from distilleak.tables.results import StudyResults

COLUMNS: Columns = {
    "pair": str,
    "model": str,
    "attack": str,
    "pool": str,
    "outcome": str,
    "records": int,
    "share": float,
}
POOLS = {"member": "members", "nonmember": "non-members"}
OUTCOMES = ("both", "teacher_only", "student_only", "neither")


def build(study: StudyResults) -> pd.DataFrame:
    """The table, for every student, as it is and undone if it can be; records are summed over
    seeds, shares are of their pool.

    Decisions are those of the accuracies: each model's own cross-fitted threshold.
    """
    rows = []
    for name, pair in study.roster.pairs.items():
        member = np.concatenate(
            [
                study.results.scores[seed, name, pair.models[0].model].teacher_member
                for seed in study.roster.seeds
            ]
        )
        students = [model for model in pair.models if pair.is_student(model)]
        correct = {
            model.model: _right(study, name, model.model)
            for model in [*pair.of_kind("teacher"), *students]
        }
        for teacher in pair.of_kind("teacher"):
            for student in students:
                for attack in study.roster.attacks:
                    ours, theirs = correct[teacher.model][attack], correct[student.model][attack]
                    for pool, side in (("member", member), ("nonmember", ~member)):
                        rows += [
                            (name, student.model, attack, pool, outcome, count, count / side.sum())
                            for outcome, count in _outcomes(ours[side], theirs[side]).items()
                        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _right(study: StudyResults, pair: str, model: str) -> dict[str, NDArray[np.bool_]]:
    """Whether each attack calls each record what it is; records of all seeds, one after another."""
    found: dict[str, list[NDArray[np.bool_]]] = {attack: [] for attack in study.roster.attacks}
    for seed in study.roster.seeds:
        scores = study.results.scores[seed, pair, model]
        labels = scores.teacher_member
        fold = folds(labels, study.evaluation.folds, seed)
        for attack, right in found.items():
            values = scores.attacks[attack]
            right.append((values > cross_fitted(values, labels, fold)) == labels)
    return {attack: np.concatenate(right) for attack, right in found.items()}


def _outcomes(teacher: NDArray[np.bool_], student: NDArray[np.bool_]) -> dict[str, int]:
    cells = (teacher & student, teacher & ~student, ~teacher & student, ~teacher & ~student)
    return {name: int(cell.sum()) for name, cell in zip(OUTCOMES, cells, strict=True)}


def printed(findings: Findings) -> list[Printed]:
    """A row for each student and pool."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in findings.rows("success", attack=findings.attack):
        cells = rows.setdefault((row["pair"], row["model"], row["pool"]), {})
        cells[row["outcome"]] = f"{row['records']:,.0f} ({100 * row['share']:.1f} %)"
    labels = findings.labels()
    table = findings.print(
        "success",
        f"Success on teacher and student, attack {findings.said(findings.attack)}",
        "Records on which the attack is right on both, on one of them only, or on neither, summed "
        "over seeds, with their share of the pool. Each model has its own cross-fitted threshold. "
        f"{findings.remark()}Other attacks: success.csv.",
        ("model", "pool", *(outcome.replace("_", " ") for outcome in OUTCOMES)),
        [
            (pair, (labels[pair, model], POOLS[pool], *(cells[outcome] for outcome in OUTCOMES)))
            for (pair, model, pool), cells in rows.items()
        ],
    )
    return [table]
