"""Window-based comparison (Chen et al. 2026, arXiv 2601.02751): a vote over stretches of text.

Memorisation is local, and in a mean a few tokens with extreme losses drown it out. A vote counts
how often the target beats the reference models, not by how much.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from distilleak.attacks.base import Needs, ScoreArray, defined, gain
from distilleak.evidence.table import Evidence
from distilleak.ragged import Ragged
from distilleak.settings.base import Settings

NEEDS = Needs(references=1)
THREAT = "references"


class Parameters(Settings):
    """The lengths of the windows, a geometric series (the paper's equation 12)."""

    shortest: int = Field(default=2, ge=1, le=2**20)
    """Tokens in the shortest window."""
    longest: int = Field(default=40, ge=1, le=2**20)
    """Tokens in the longest window."""
    lengths: int = Field(default=10, ge=2, le=1000)
    """Number of lengths; each is rounded, and a length that occurs twice counts twice."""

    @model_validator(mode="after")
    def _ordered(self) -> "Parameters":
        if self.longest < self.shortest:
            raise ValueError(f"longest, {self.longest}, is below shortest, {self.shortest}")
        return self


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Share of windows with sum of (l_T - l_R) > 0, averaged over the window lengths; (records,).

    Windows longer than the record are left out; a record shorter than every window is one window.
    """
    shift = gain(evidence)
    lengths = shift.lengths
    sizes = window_lengths(parameters).tolist()
    left = shift.offsets[1:][shift.rows] - np.arange(len(shift.values))  # tokens to the row's end
    # Each window is summed separately, not as a difference of running sums over all tokens: that
    # could round a tie either way, depending on the order of the records.
    values = shift.floats
    sums = values.copy()
    votes, counted = np.zeros((2, len(lengths)))
    for size in range(1, min(parameters.longest, lengths.max(initial=0)) + 1):
        if size > 1:
            sums[: 1 - size] += values[size - 1 :]
        times = sizes.count(size)
        here = times * (lengths >= size)
        if size < parameters.shortest:
            here = 1 * (lengths == size)
        if here.any():
            won = Ragged((sums > 0) & (left >= size), shift.offsets).sum()
            votes += here * won / np.maximum(lengths - size + 1, 1)
            counted += here
    return defined(votes / counted, shift)


def window_lengths(parameters: Parameters) -> NDArray[np.int64]:
    """The lengths of the windows in tokens, (lengths,)."""
    series = np.geomspace(parameters.shortest, parameters.longest, parameters.lengths)
    return np.rint(series).astype(np.int64)
