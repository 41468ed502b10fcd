"""Error rates of a membership score on weighted records, from all of its thresholds.

Records have weights: weights of one give the estimate itself, bootstrap multiplicities give its
replicates. One row of weights W (replicates, records) is one replicate; nothing here loops over
either axis. Many replicates take less time with `metrics.sweep`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilleak.errors import DistilleakError

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]  # (records,), True = member
Weights = NDArray[np.integer[Any]]  # (replicates, records), whole multiplicities

# Arrays of this many float64 values roughly fit the processor's cache, and bound the memory.
_CHUNK = 2**16


@dataclass(frozen=True)
class Ranking:
    """Records by descending score, cut into groups of equal score.

    A threshold lies between two groups, never inside one. The possible decisions are therefore
    exactly "the top g groups are called members" for g = 0 ... groups.
    """

    scores: Floats  # (groups,), distinct and descending
    members: NDArray[np.intp]  # columns of W that hold members, by descending score
    nonmembers: NDArray[np.intp]
    top_members: NDArray[np.intp]  # (groups + 1,), how many members the top g groups hold
    top_nonmembers: NDArray[np.intp]

    @staticmethod
    def of(scores: Floats, labels: Labels, among: Labels | None = None) -> "Ranking":
        """Rank the records, or those where `among` is True; W keeps a column for every record.

        Raises:
            DistilleakError: a score is NaN or infinite, or there are no members or no non-members.
        """
        check(scores, labels)
        kept = np.arange(len(scores)) if among is None else np.flatnonzero(among)
        order = kept[np.argsort(-scores[kept], kind="stable")]
        member = labels[order]
        check_classes(member)
        ordered = scores[order]
        ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
        tops = np.append(0, ends + 1)
        return Ranking(
            scores=ordered[ends],
            members=order[member],
            nonmembers=order[~member],
            top_members=np.append(0, np.cumsum(member))[tops],
            top_nonmembers=np.append(0, np.cumsum(~member))[tops],
        )

    def tpr_at_fpr(self, weights: Weights, target: float) -> Floats:
        """The largest true-positive rate whose false-positive rate is <= `target`, (replicates,).

        Only thresholds that exist count: nothing is interpolated between two groups of scores, and
        if even the highest group exceeds the target, the rate is 0.0. NaN where a replicate lacks a
        class. The metric is that of Carlini et al. 2022 (arXiv 2112.03570).
        """
        rates = []
        for tp, fp in self._counts(weights):
            # As quotients, since in floating point 0.29 * 100 < 29 while 29 / 100 == 0.29.
            fpr = fp / whole(fp[:, -1:])
            last = np.count_nonzero(fpr <= target, axis=1) - 1
            tpr = tp[np.arange(len(tp)), last] / whole(tp[:, -1])
            rates.append(np.where(np.isnan(fpr[:, -1]), np.nan, tpr))
        return np.concatenate(rates)

    def best_threshold(self, weights: Weights) -> Floats:
        """The threshold t of best balanced accuracy for the decision score > t, (replicates,).

        It lies halfway between neighbouring scores of records with nonzero weight, or is +inf if
        no record is called a member. Among equally good thresholds the highest is taken. So calling
        every record a member, which is as good as calling none, is never chosen, and a replicate
        that lacks a class gets +inf.
        """
        thresholds = []
        for tp, fp in self._counts(weights):
            rows, best = np.arange(len(tp)), _best(tp, fp)
            called = tp + fp
            # The next group with a nonzero weight in this replicate; those not drawn are skipped.
            following = np.argmax(called > called[rows, best, None], axis=1)
            middle = between(self.scores[following - 1], self.scores[best - 1])
            thresholds.append(np.where(best == 0, np.inf, middle))
        return np.concatenate(thresholds)

    def _counts(self, weights: Weights) -> Iterator[tuple[Floats, Floats]]:
        """True and false positives when the top g groups are called members, (rows, groups + 1)."""
        for rows in chunks(weights):
            yield (
                _cumulated(weights[rows], self.members, self.top_members),
                _cumulated(weights[rows], self.nonmembers, self.top_nonmembers),
            )


def roc_curve(scores: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """(FPR, TPR) at every threshold, from (0, 0) to (1, 1); each (distinct scores + 1,).

    Raises:
        DistilleakError: a score is NaN or infinite, or there are no members or no non-members.
    """
    ranking = Ranking.of(scores, labels)
    return (
        ranking.top_nonmembers / len(ranking.nonmembers),
        ranking.top_members / len(ranking.members),
    )


def chunks(weights: Weights) -> Iterator[slice]:
    """Slices of replicates small enough to work on in float64."""
    step = chunk_rows(weights.shape[1])
    for start in range(0, len(weights), step):
        yield slice(start, start + step)


def chunk_rows(records: int) -> int:
    """How many replicates of so many records `chunks` puts together."""
    return max(1, _CHUNK // records)


def check(scores: Floats, labels: Labels) -> None:
    """Raise an error unless each of the labels has a score.

    Raises:
        DistilleakError: their numbers differ, or a score is NaN or infinite.
    """
    if scores.shape != labels.shape:
        raise DistilleakError(f"{len(scores)} scores for {len(labels)} labels; one each is needed")
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise DistilleakError(
            f"score {scores[bad[0]]} of record number {bad[0]}; scores must be finite"
        )


def check_classes(member: Labels) -> None:
    """Raise an error unless some of the records are members and some are not.

    Raises:
        DistilleakError: all are, or none is.
    """
    if member.all() or not member.any():
        lacking = "non-members" if member.any() else "members"
        raise DistilleakError(
            f"no {lacking} among {len(member)} records; members and non-members are both needed"
        )


def between(lower: Floats, upper: Floats) -> Floats:
    """A threshold between two neighbouring scores: `lower` does not exceed it, `upper` does."""
    middle = lower / 2 + upper / 2
    # Between neighbouring floats the middle rounds to one of them; `upper` must stay above it.
    return np.where(middle < upper, middle, lower)


def whole(totals: Floats) -> Floats:
    """A denominator: NaN instead of zero, since a share of nothing is undefined."""
    return np.where(totals > 0, totals, np.nan)


def _cumulated(weights: Weights, columns: NDArray[np.intp], tops: NDArray[np.intp]) -> Floats:
    total = np.zeros((len(weights), len(columns) + 1))
    np.cumsum(np.take(weights, columns, axis=1), axis=1, out=total[:, 1:])
    return np.take(total, tops, axis=1)


def _best(tp: Floats, fp: Floats) -> NDArray[np.intp]:
    # TPR - FPR times both totals: whole numbers, so that ties are exact in floating point.
    best: NDArray[np.intp] = np.argmax(tp * fp[:, -1:] - fp * tp[:, -1:], axis=1)
    return best
