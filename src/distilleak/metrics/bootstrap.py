"""Bootstrap over records, and percentile intervals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilleak.metrics.rates import Floats, Labels, chunk_rows
from distilleak.seeding import stream

# Weights in a block of replicates, which bounds the memory: 16 MiB, or a single replicate.
_BLOCK = 2**23

# Draws made at a time.
_DRAWS = 2**20


@dataclass(frozen=True)
class Draws:
    """How often each record is drawn in each bootstrap replicate, in blocks of replicates.

    Iterating draws the blocks, each (rows, records), from the first replicate on; all of them are
    never held. Another iteration draws the same.
    """

    records: int
    replicates: int
    strata: tuple[tuple[NDArray[np.intp], tuple[str | int, ...]], ...]
    """The records of each group that keeps its size, and the purpose of its random stream."""
    seed: int

    def __iter__(self) -> Iterator[NDArray[np.int16]]:
        """The blocks."""
        streams = [stream(self.seed, "bootstrap", *purpose) for _, purpose in self.strata]
        chunk = chunk_rows(self.records)
        # Whole chunks, so that sums in floating point do not depend on the blocks either.
        step = chunk * max(1, _BLOCK // (chunk * self.records))
        for start in range(0, self.replicates, step):
            yield self._drawn(min(step, self.replicates - start), streams)

    def _drawn(self, rows: int, streams: Sequence[np.random.Generator]) -> NDArray[np.int16]:
        drawn = np.zeros((rows, self.records), np.int16)
        for (columns, _), rng in zip(self.strata, streams, strict=True):
            _draw(drawn, columns, rng)
        return drawn


def weights(labels: Labels, replicates: int, seed: int) -> Draws:
    """Replicates of the records, in which each class keeps its size.

    Members and non-members are resampled separately, each to their own number (the two-sample
    bootstrap of Efron and Tibshirani 1993, chapter 8). A pure function of its arguments: models
    compared on the same records are resampled alike, so that their differences are paired.
    Records of only one kind, such as the hold-out pool, are one sample: give them equal labels.
    """
    sides = (("members", labels), ("non-members", ~labels))
    strata = [(np.flatnonzero(side), (name,)) for name, side in sides if side.any()]
    return Draws(len(labels), replicates, tuple(strata), seed)


def stratified(groups: NDArray[np.int64], replicates: int, seed: int) -> Draws:
    """Like `weights`, for any number of groups, each resampled to its own number of records.

    Args:
        groups: (records,), whole numbers from 0; the draws of a group depend on its own number and
            size only.
        replicates: how many to draw.
        seed: of the draws.
    """
    strata = [
        (np.flatnonzero(groups == group), ("group", int(group))) for group in np.unique(groups)
    ]
    return Draws(len(groups), replicates, tuple(strata), seed)


def interval(replicates: Floats, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval (low, high) of (B,) replicates.

    Replicates in which the statistic is undefined (NaN: a class was not drawn) are left out;
    (NaN, NaN) if all are.
    """
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _draw(drawn: NDArray[np.int16], columns: NDArray[np.intp], rng: np.random.Generator) -> None:
    """Draw each row's records in `columns` anew, as many as there are, and write their numbers."""
    records = len(columns)
    step = max(1, _DRAWS // records)
    for start in range(0, len(drawn), step):
        rows = min(step, len(drawn) - start)
        found = rng.integers(records, size=(rows, records))
        found += np.arange(rows)[:, None] * records  # a bin for each replicate and record
        counts = np.bincount(found.ravel(), minlength=rows * records)
        drawn[start : start + rows, columns] = counts.reshape(rows, records)
