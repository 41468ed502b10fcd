"""Votes: the majority of attack decisions, for whoever holds several students."""

from collections.abc import Sequence

import numpy as np

from distilleak.errors import DistilleakError
from distilleak.metrics.rates import Floats
from distilleak.metrics.thresholds import cross_fitted, folds
from distilleak.scoring.scores import Scores

MARGIN = 20.0
"""Margins are clipped to so many standard deviations. An infinite threshold, of a student that
calls nobody a member, then speaks as strongly against as can be; and in double precision the
sigmoid still distinguishes margins and stays inside (0, 1)."""


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


def vote_by_attack(students: Sequence[Scores], count: int, seed: int) -> Scores:
    """The votes of students, each by thresholds that are cross-fitted on `count` folds."""
    first = students[0]
    labels = first.teacher_member
    fold = folds(labels, count, seed)
    votes = {}
    for attack in first.attacks:
        scores = np.stack([student.attacks[attack] for student in students])
        thresholds = np.stack([cross_fitted(row, labels, fold) for row in scores])
        votes[attack] = vote(scores, thresholds)
    return Scores(first.record_id, first.pool, first.teacher_member, first.student_member, votes)


def check_alike(first_path: str, first: Scores, path: str, other: Scores) -> None:
    """Refuse students that cannot vote together.

    Raises:
        DistilleakError: they have other attacks, records or labels.
    """
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
