"""Score the vote of students: each one's attack decision counts, ties go to the mean margin.

A vote is no model, but what an attacker can do who holds all of these students.

With v of k students for membership and m the mean margin, the score is (v + sigmoid(m)) / (k + 1).
It is above 0.5 exactly when v > k / 2, or v = k / 2 and m > 0, and it orders records first by votes
and then by margin. Only the evaluation pools are scored: a hold-out record belongs to no fold, so
no cross-fitted threshold is its own.
"""

import argparse
from collections.abc import Sequence

from distilleak.records.evaluation import EVALUATION_POOLS
from distilleak.scoring.scores import read_scores, write_scores
from distilleak.scoring.voting import check_alike, vote_by_attack
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.stages import base


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    students = [read_scores(path).of(EVALUATION_POOLS) for path in arguments.scores]
    for path, student in zip(arguments.scores, students, strict=True):
        check_alike(arguments.scores[0], students[0], path, student)
    ensemble = vote_by_attack(students, arguments.evaluation.folds, arguments.seed)
    write_scores(ensemble, arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--scores", nargs="+", required=True, help="scores.parquet of each student")
    parser.add_argument(
        "--evaluation",
        type=base.settings_argument(EvaluationSettings),
        required=True,
        help="JSON: folds, replicates",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the folds")
    parser.add_argument("--output", required=True, help="scores.parquet to write")
    return parser
