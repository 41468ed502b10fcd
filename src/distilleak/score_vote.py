"""Score an ensemble by vote: each student's attack decision is a vote, ties go to the mean margin.

With v of k students for membership and m the mean margin, the score is (v + sigmoid(m)) / (k + 1).
It is above 0.5 exactly when v > k / 2, or v = k / 2 and m > 0, and it orders records first by votes
and then by margin. Only the evaluation pools are scored: a hold-out record belongs to no fold, so
no cross-fitted threshold is its own.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from distilleak import stage
from distilleak.errors import DistilleakError
from distilleak.metrics.rates import Floats
from distilleak.metrics.thresholds import cross_fitted, folds
from distilleak.scores import EVALUATION, Scores, read_scores, write_scores
from distilleak.settings.evaluation import EvaluationSettings

MARGIN = 20.0
"""Margins are clipped to so many standard deviations. An infinite threshold, of a student that
calls nobody a member, then speaks as strongly against as can be; and in double precision the
sigmoid still tells margins apart and stays inside (0, 1)."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    students = [read_scores(path).of(EVALUATION) for path in arguments.scores]
    for path, student in zip(arguments.scores, students, strict=True):
        _check_alike(arguments.scores[0], students[0], path, student)
    first = students[0]
    labels = first.teacher_member
    fold = folds(labels, arguments.evaluation.folds, arguments.seed)
    votes = {}
    for attack in first.attacks:
        scores = np.stack([student.attacks[attack] for student in students])
        thresholds = np.stack([cross_fitted(row, labels, fold) for row in scores])
        votes[attack] = vote(scores, thresholds)
    ensemble = Scores(
        first.record_id, first.pool, first.teacher_member, first.student_member, votes
    )
    write_scores(ensemble, arguments.output)


def vote(scores: Floats, thresholds: Floats) -> Floats:
    """The vote of k students on n records; (n,), each in (0, 1).

    The margin of a student is (score - threshold) / standard deviation of its scores, clipped to
    `MARGIN`.

    Args:
        scores: (k, n), finite.
        thresholds: (k, n); a student votes for membership where score > threshold. May be +inf.
    """
    spread = scores.std(axis=1, keepdims=True)
    margins = (scores - thresholds) / np.where(spread > 0, spread, 1.0)
    margin = np.clip(margins, -MARGIN, MARGIN).mean(axis=0)
    votes = np.count_nonzero(scores > thresholds, axis=0)
    result: Floats = (votes + 1 / (1 + np.exp(-margin))) / (len(scores) + 1)
    return result


def _check_alike(first_path: str, first: Scores, path: str, other: Scores) -> None:
    if set(first.attacks) != set(other.attacks):
        raise DistilleakError(
            f"{path}: attacks {', '.join(other.attacks)}; {first_path} has "
            f"{', '.join(first.attacks)}, and students that vote need the same"
        )
    apart = sorted(set(first.record_id) ^ set(other.record_id))
    if apart:
        raise DistilleakError(
            f"{path}: record {apart[0]!r} is in only one of this and {first_path}; students that "
            "vote need the same records"
        )
    if not np.array_equal(first.teacher_member, other.teacher_member):
        raise DistilleakError(f"{path}: membership differs from that in {first_path}")


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
    parser.add_argument("--scores", nargs="+", required=True, help="scores.parquet of each student")
    parser.add_argument(
        "--evaluation",
        type=stage.settings_argument(EvaluationSettings),
        required=True,
        help="JSON: folds, replicates",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the folds")
    parser.add_argument("--output", required=True, help="scores.parquet to write")
    return parser
