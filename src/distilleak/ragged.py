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

    Every row holds at least one value, as every scored record has at least one token.
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

    def sum(self) -> Floats:
        """The sum of each row in float64, (records,)."""
        return np.add.reduceat(self.values.astype(np.float64), self.offsets[:-1])

    def mean(self) -> Floats:
        """The mean of each row in float64, (records,)."""
        return self.sum() / self.lengths

    def lowest_mean(self, fraction: float) -> Floats:
        """The mean of the lowest max(1, floor(fraction * n)) values of each row, (records,)."""
        rows = self.rows
        values = self.values.astype(np.float64)
        ordered = values[np.lexsort((values, rows))]
        position = np.arange(len(values)) - self.offsets[:-1][rows]
        taken = np.maximum(1, np.floor(fraction * self.lengths)).astype(np.int64)
        kept = np.where(position < taken[rows], ordered, 0.0)
        means: Floats = np.add.reduceat(kept, self.offsets[:-1]) / taken
        return means
