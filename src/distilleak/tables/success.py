"""success: on how many records the attack is right on teacher and student, on one, on neither."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from distilleak.metrics.thresholds import cross_fitted, folds
from distilleak.tables.results import Results
from distilleak.tables.roster import Roster

COLUMNS = ["pair", "model", "attack", "pool", "outcome", "records", "share"]
OUTCOMES = ("both", "teacher_only", "student_only", "neither")


def build(layout: Roster, results: Results, n_folds: int) -> pd.DataFrame:
    """The table, for every student; records are summed over seeds, shares are of their pool.

    Decisions are those of the accuracies: each model's own cross-fitted threshold.
    """
    rows = []
    for name, pair in layout.pairs.items():
        member = np.concatenate(
            [
                results.scores[seed, name, pair.models[0].model].teacher_member
                for seed in layout.seeds
            ]
        )
        correct = {
            model.model: _right(layout, results, name, model.model, n_folds)
            for model in pair.of_kind("teacher", "student")
        }
        for teacher in pair.of_kind("teacher"):
            for student in pair.of_kind("student"):
                for attack in layout.attacks:
                    ours, theirs = correct[teacher.model][attack], correct[student.model][attack]
                    for pool, side in (("member", member), ("nonmember", ~member)):
                        rows += [
                            (name, student.model, attack, pool, outcome, count, count / side.sum())
                            for outcome, count in _outcomes(ours[side], theirs[side]).items()
                        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _right(
    layout: Roster, results: Results, pair: str, model: str, n_folds: int
) -> dict[str, NDArray[np.bool_]]:
    """Whether each attack calls each record what it is; records of all seeds, one after another."""
    found: dict[str, list[NDArray[np.bool_]]] = {attack: [] for attack in layout.attacks}
    for seed in layout.seeds:
        scores = results.scores[seed, pair, model]
        labels = scores.teacher_member
        fold = folds(labels, n_folds, seed)
        for attack, right in found.items():
            values = scores.attacks[attack]
            right.append((values > cross_fitted(values, labels, fold)) == labels)
    return {attack: np.concatenate(right) for attack, right in found.items()}


def _outcomes(teacher: NDArray[np.bool_], student: NDArray[np.bool_]) -> dict[str, int]:
    cells = (teacher & student, teacher & ~student, ~teacher & student, ~teacher & ~student)
    return {name: int(cell.sum()) for name, cell in zip(OUTCOMES, cells, strict=True)}
