"""Arithmetic on ragged rows: one flat array of token values, cut into records by offsets.

Nothing here loops over records in Python.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ragged:
    """Rows of unequal length: row i is `values[offsets[i]:offsets[i + 1]]`.

    Every row holds at least one value, since every scored record has at least one token.
    """

    values: NDArray[np.generic]  # (tokens,)
    offsets: NDArray[np.int64]  # (records + 1,)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens in each row, (records,)."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row that each value belongs to, (tokens,)."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def floats(self) -> Floats:
        """The values in float64, (tokens,)."""
        return self.values.astype(np.float64)

    def sum(self) -> Floats:
        """The sum of each row in float64, (records,)."""
        return np.add.reduceat(self.floats, self.offsets[:-1])

    def mean(self) -> Floats:
        """The mean of each row in float64, (records,)."""
        return self.sum() / self.lengths

    def min(self) -> Floats:
        """The lowest value of each row in float64, (records,)."""
        return np.minimum.reduceat(self.floats, self.offsets[:-1])

    def lowest(self, fraction: float) -> NDArray[np.bool_]:
        """Which are the lowest max(1, floor(fraction * n)) values of their row, (tokens,).

        Among equal values, those that come first are taken first.
        """
        order, taken = self._ordered(fraction)
        chosen = np.empty(len(order), np.bool_)
        chosen[order] = taken
        return chosen

    def lowest_mean(self, fraction: float) -> Floats:
        """The mean of the lowest max(1, floor(fraction * n)) values of each row, (records,)."""
        order, taken = self._ordered(fraction)
        # Summed in sorted order, so that the order within a row does not matter.
        kept = np.where(taken, self.floats[order], 0.0)
        starts = self.offsets[:-1]
        means: Floats = np.add.reduceat(kept, starts) / np.add.reduceat(
            taken, starts, dtype=np.int64
        )
        return means

    def equals(self, other: "Ragged") -> bool:
        """Whether both hold the same values in the same rows."""
        return np.array_equal(self.offsets, other.offsets) and np.array_equal(
            self.values, other.values
        )

    def _ordered(self, fraction: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The order that sorts each row, and which positions in it hold the row's lowest values."""
        rows = self.rows
        order = np.lexsort((self.values, rows))  # stable
        position = np.arange(len(rows)) - self.offsets[:-1][rows]
        taken = np.maximum(1, np.floor(fraction * self.lengths)).astype(np.int64)
        return order, position < taken[rows]
