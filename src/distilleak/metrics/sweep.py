"""Rates of one score in many bootstrap replicates, without judging every threshold in each.

The records are ordered once, and a replicate only adds up how often it drew them. The best
threshold is then searched in two steps. The distinct scores are cut into cells, and the thresholds
between cells are judged first. Inside a cell, a threshold gains at most what it would if all
members of the cell came before its non-members. So only the few cells are searched whose bound
reaches the best threshold between cells. All sums are whole numbers below 2**53, so the results
are exactly those of judging every threshold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from distilleak.metrics.rates import Floats, Labels, Weights, between, check, check_classes, whole
from distilleak.metrics.thresholds import Folds, check_folds

Index = NDArray[np.intp]
Ranks = NDArray[np.int32]  # places in the order of the scores, the highest first

# Distinct scores in a cell, at least; of many records, this share of their square root. Larger
# cells are fewer, but more of them must be searched.
_CELL, _SHARE = 16, 1 / 16

# Weights that are summed up at a time.
_CHUNK = 2**18

# Records among which the next one is searched first.
_WINDOW = 16


@dataclass(frozen=True)
class Area:
    """The area under the ROC curve between two sets of records."""

    higher: Ranks  # the records of one set, by descending score
    lower: Ranks  # those of the other
    above: Ranks  # for each of `lower`, how many of `higher` have a higher score
    upto: Ranks | None  # how many have one at least as high; None where that is the same

    @staticmethod
    def of(scores: Floats, higher: Labels, lower: Labels) -> "Area":
        """Between the records in `higher` and those in `lower`, (n,) each.

        Raises:
            DistilleakError: a score is NaN or infinite, or a set is empty.
        """
        check(scores, higher)
        check_classes(higher[higher | lower])
        sets = [np.flatnonzero(side) for side in (higher, lower)]
        first, second = (side[np.argsort(-scores[side], kind="stable")] for side in sets)
        rising = scores[first][::-1]
        above = len(first) - np.searchsorted(rising, scores[second], "right")
        upto = len(first) - np.searchsorted(rising, scores[second], "left")
        return Area(
            first.astype(np.int32),
            second.astype(np.int32),
            above.astype(np.int32),
            upto.astype(np.int32) if (above != upto).any() else None,
        )

    def auc(self, weights: Weights) -> Floats:
        """P(one of `higher` scores higher) + P(equal) / 2, (replicates,).

        The Mann-Whitney statistic divided by the number of pairs. Values below 0.5 are reported as
        they are. NaN where a replicate lacks one of the sets.
        """
        above = self.above.astype(np.intp)
        upto = above if self.upto is None else self.upto.astype(np.intp)
        higher, lower = self.higher.astype(np.intp), self.lower.astype(np.intp)
        areas = []
        for rows in _chunks(weights):
            total = _cumulated(np.take(weights[rows], higher, axis=1))
            drawn = np.take(weights[rows], lower, axis=1).astype(np.float64)
            passed = np.take(total, above, axis=1).astype(np.float64)
            if upto is not above:
                passed = (passed + np.take(total, upto, axis=1)) / 2
            won = np.einsum("bn,bn->b", drawn, passed)
            areas.append(won / whole(total[:, -1] * drawn.sum(axis=1)))
        return np.concatenate(areas)


@dataclass(frozen=True)
class Rates:
    """Weights of the records called members in some replicates, and of all; (replicates,) each."""

    tp: Floats
    fp: Floats
    members: Floats
    nonmembers: Floats

    def accuracies(self) -> tuple[Floats, Floats, Floats]:
        """(balanced accuracy, TPR, TNR), (replicates,); NaN where a replicate lacks a class."""
        member = self.tp / whole(self.members)
        nonmember = (self.nonmembers - self.fp) / whole(self.nonmembers)
        return (member + nonmember) / 2, member, nonmember


@dataclass(frozen=True)
class Sweep:
    """Records by descending score, cut into cells of equally many distinct scores.

    A class holds the members or the non-members of a fold: first come the folds' non-members,
    then their members.
    """

    scores: Floats  # (n,)
    member: Labels  # (n,)
    fold: NDArray[np.int16]  # (n,), from 0
    folds: int
    order: Ranks  # (n,), the records
    last: NDArray[np.bool_]  # (n,), by rank: the last of equal scores, where a threshold can lie
    cells: Index  # (cells + 1,), the ranks at which they begin, and n
    ranks: Ranks  # (n,), of the classes' records, one class after the other
    starts: Index  # (classes + 1,), where a class begins in `ranks`
    held: Index  # (classes, cells + 1), how many records of a class come before a cell

    @staticmethod
    def of(scores: Floats, labels: Labels, folds: Folds | None) -> "Sweep":
        """Prepare scores (n,) of members and non-members, dealt to `folds`, if there are any.

        Raises:
            DistilleakError: a score is NaN or infinite, or there are no members or no non-members,
                overall or in a fold.
        """
        check(scores, labels)
        check_classes(labels)
        fold, count = np.zeros(len(labels), np.intp), 1
        if folds is not None:
            names, fold = np.unique(folds, return_inverse=True)
            count = len(names)
            check_folds(labels, fold, count)
        order = np.argsort(-scores, kind="stable")
        ordered = scores[order]
        last = np.append(ordered[1:] != ordered[:-1], True)
        ends = np.flatnonzero(last) + 1
        size = max(_CELL, int(_SHARE * len(scores) ** 0.5))
        cells = np.concatenate([[0], ends[size - 1 : -1 : size], [len(scores)]])
        kind = (fold + count * labels).astype(np.int16)
        ranks = np.argsort(kind[order], kind="stable")
        starts = np.append(0, np.cumsum(np.bincount(kind, minlength=2 * count)))
        held = [np.searchsorted(ranks[a:b], cells) for a, b in pairwise(starts)]
        return Sweep(
            scores=scores,
            member=labels,
            fold=fold.astype(np.int16),
            folds=count,
            order=order.astype(np.int32),
            last=last,
            cells=cells,
            ranks=ranks.astype(np.int32),
            starts=starts,
            held=np.stack(held),
        )

    def places(self) -> Ranks:
        """The rank of each record, (n,)."""
        places = np.empty_like(self.order)
        places[self.order] = np.arange(len(self.order), dtype=np.int32)
        return places

    def passes(self, weights: Weights) -> Iterator["Pass"]:
        """The replicates, a few at a time."""
        records = np.take(self.order, self.ranks)
        for rows in _chunks(weights):
            drawn = weights[rows]
            yield Pass(self, drawn, _cumulated(np.take(drawn, records, axis=1)))


class Pass:
    """What is asked of some replicates; the order of the records and the sums serve all of it."""

    def __init__(self, sweep: Sweep, weights: Weights, sums: Ranks) -> None:
        """Sum up the cells.

        Args:
            sweep: of the records.
            weights: (rows, n).
            sums: (rows, n + 1), of the weights in the order of `sweep.ranks`.
        """
        self._sweep, self._weights, self._sums = sweep, weights, sums
        starts = sweep.starts[:-1, None]
        before = np.take(sums, starts + sweep.held, axis=1) - np.take(sums, starts, axis=1)
        before = before.astype(np.float64)
        # (rows, folds, cells + 1), and summed over the folds.
        self._fp, self._tp = before[:, : sweep.folds], before[:, sweep.folds :]
        self._all_fp, self._all_tp = self._fp.sum(axis=1), self._tp.sum(axis=1)

    def called(self, ranks: Index) -> Rates:
        """If each fold's records before one of `ranks`, (rows, folds), are called members."""
        sweep, sums = self._sweep, self._sums
        rows = np.arange(len(sums))
        counted = np.zeros((2, len(sums)))
        for kind, (start, end) in enumerate(pairwise(sweep.starts)):
            member, fold = divmod(kind, sweep.folds)
            held = np.searchsorted(sweep.ranks[start:end], ranks[:, fold])
            counted[member] += sums[rows, start + held] - sums[:, start]
        return Rates(counted[1], counted[0], self._all_tp[:, -1], self._all_fp[:, -1])

    def share(self, records: Index, places: Ranks, ranks: Index) -> Floats:
        """The share of some records that are called members, (rows,); NaN where none is drawn.

        Args:
            records: (k,).
            places: (k,), their ranks.
            ranks: (rows, folds), as for `called`.
        """
        drawn = np.take(self._weights, records, axis=1)
        limit = np.take(ranks, np.take(self._sweep.fold, records), axis=1)
        called = np.where(places < limit, drawn, 0).sum(axis=1)
        share: Floats = called / whole(drawn.sum(axis=1).astype(np.float64))
        return share

    def oracle(self) -> Rates:
        """At the threshold of best balanced accuracy, the highest among equally good ones."""
        best = self._best(self._all_tp, self._all_fp, None)
        return self.called(np.repeat(best[:, None], self._sweep.folds, axis=1))

    def above(self, threshold: float) -> Rates:
        """If the scores above `threshold` are called members."""
        rank = np.count_nonzero(self._sweep.scores > threshold)
        return self.called(np.full((len(self._sums), self._sweep.folds), rank))

    def cross_fitted(self) -> Index:
        """How many records of the order exceed the threshold of each fold, (rows, folds).

        The threshold is of best balanced accuracy on the other folds, see `thresholds`.
        """
        found = []
        for fold in range(self._sweep.folds):
            tp = self._all_tp - self._tp[:, fold]
            fp = self._all_fp - self._fp[:, fold]
            best = self._best(tp, fp, fold)
            found.append(self._exceeding(best, self._following(best, fold)))
        return np.stack(found, axis=1)

    def tpr_at_fpr(self, target: float) -> Floats:
        """The largest TPR whose FPR is at most `target`, (rows,); as `Ranking.tpr_at_fpr`."""
        sweep, fp, tp = self._sweep, self._all_fp, self._all_tp
        rows = np.arange(len(fp))
        total = whole(fp[:, -1])
        # The last cell that begins within the target; of a replicate without non-members, any.
        cell = np.maximum(np.count_nonzero(fp / total[:, None] <= target, axis=1) - 1, 0)
        cell = np.minimum(cell, len(sweep.cells) - 2)
        row, ranks = self._opened(rows, cell)
        records = np.take(sweep.order, ranks)
        drawn = self._weights[row, records].astype(np.float64)
        member = np.take(sweep.member, records)
        begins = np.searchsorted(row, rows)
        wrong, right = (
            _restarted(np.where(side, drawn, 0), begins) + start[row, cell[row]]
            for side, start in ((~member, fp), (member, tp))
        )
        within = sweep.last[ranks] & (wrong / total[row] <= target)
        reached = np.maximum.reduceat(np.where(within, right, 0), begins)
        reached = np.maximum(reached, tp[rows, cell])
        return np.where(np.isnan(total), np.nan, reached / whole(tp[:, -1]))

    def _best(self, tp: Floats, fp: Floats, spared: int | None) -> Index:
        """The rank before which records are called members at the best threshold, (rows,).

        Args:
            tp: (rows, cells + 1), of the members that the threshold is chosen on.
            fp: (rows, cells + 1), of the non-members.
            spared: the fold that the threshold is not chosen on.
        """
        sweep = self._sweep
        members, nonmembers = tp[:, -1:], fp[:, -1:]
        gain = tp * nonmembers - fp * members  # TPR - FPR times both totals
        bound = gain[:, :-1] + np.diff(tp, axis=1) * nonmembers
        row, cell = np.nonzero(bound >= gain.max(axis=1, keepdims=True))
        opened, ranks = self._opened(row, cell)
        at = row[opened]
        records = np.take(sweep.order, ranks)
        step = np.where(np.take(sweep.member, records), nonmembers[at, 0], -members[at, 0])
        step *= self._weights[at, records]
        if spared is not None:
            step[np.take(sweep.fold, records) == spared] = 0
        begins = np.searchsorted(opened, np.arange(len(row)))
        value = _restarted(step, begins) + gain[row, cell][opened]
        value[~sweep.last[ranks]] = -np.inf
        # Every row has a cell: the last gain is 0, and the cell before the best one reaches it.
        rows = np.arange(len(tp))
        most = np.maximum.reduceat(value, np.searchsorted(at, rows))
        hits = np.flatnonzero(value == most[at])
        first = ranks[hits[np.searchsorted(at[hits], rows)]] + 1
        return np.where(most > 0, first, 0)

    def _following(self, ranks: Index, spared: int) -> Index:
        """The rank of the next record that was drawn and is not in fold `spared`; 0 after none.

        There is one after the best threshold, since the gain falls to 0 behind it.
        """
        sweep, found = self._sweep, ranks.copy()
        searching, width = np.flatnonzero(ranks), _WINDOW
        while len(searching):
            window = found[searching, None] + np.arange(width)
            records = np.take(sweep.order, np.minimum(window, len(sweep.order) - 1))
            hit = self._weights[searching[:, None], records] > 0
            hit &= np.take(sweep.fold, records) != spared
            succeeded = hit.any(axis=1)
            found[searching] += np.where(succeeded, np.argmax(hit, axis=1), width)
            searching, width = searching[~succeeded], 2 * width
        return found

    def _exceeding(self, best: Index, following: Index) -> Index:
        """How many records exceed the middle between the scores around a threshold, (rows,)."""
        sweep = self._sweep

        def score(rank: Index) -> Floats:
            return sweep.scores[sweep.order[rank]]

        threshold = between(score(following), score(np.maximum(best - 1, 0)))
        low, high = best, following
        while (low < high).any():
            middle = (low + high) // 2
            exceeds = (score(middle) > threshold) & (low < high)
            low, high = np.where(exceeds, middle + 1, low), np.where(exceeds, high, middle)
        return low

    def _opened(self, row: Index, cell: Index) -> tuple[Index, Index]:
        """The records of cells: the number of the cell in `cell`, and the rank, of each record."""
        begin, end = self._sweep.cells[cell], self._sweep.cells[cell + 1]
        size = end - begin
        number = np.repeat(np.arange(len(row)), size)
        return number, np.arange(len(number)) + (begin - np.cumsum(size) + size)[number]


def _restarted(values: Floats, begins: Index) -> Floats:
    """Running sums that begin anew at each of `begins`, the first of which is 0."""
    total: Floats = np.cumsum(values)
    before = np.append(0.0, total)[begins]
    total -= np.repeat(before, np.diff(np.append(begins, len(values))))
    return total


def _chunks(weights: Weights) -> Iterator[slice]:
    step = max(1, _CHUNK // weights.shape[1])
    return (slice(start, start + step) for start in range(0, len(weights), step))


def _cumulated(weights: Weights) -> Ranks:
    """(rows, n + 1), from 0."""
    total = np.empty((len(weights), weights.shape[1] + 1), np.int32)
    total[:, 0] = 0
    np.cumsum(weights, axis=1, dtype=np.int32, out=total[:, 1:])
    return total
