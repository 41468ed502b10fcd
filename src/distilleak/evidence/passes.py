"""Which tokens are predicted in which pass over a record."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilleak import seeding
from distilleak.settings.evidence import EvidenceSettings

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Passes:
    """The passes over some records, in order of record and pass: the rows of an evidence file.

    A causal model predicts all tokens of a record in one pass.

    Attributes:
        record: (rows,) position of the record that a pass reads.
        number: (rows,) which of the record's passes it is.
        length: (rows,) tokens of the record.
        hides: masked models: for each record, (tokens,) the pass that hides the token; else None.
    """

    record: Integers
    number: Integers
    length: Integers
    hides: Sequence[Integers] | None = None

    @property
    def offsets(self) -> Integers:
        """The scored tokens of row i are those at offsets[i] to offsets[i + 1], (rows + 1,)."""
        scored = self.length
        if self.hides is not None:
            scored = np.concatenate([np.bincount(hides) for hides in self.hides])
        return np.concatenate([[0], np.cumsum(scored)])

    def hidden(self, rows: Integers) -> list[NDArray[np.bool_]] | None:
        """For each of `rows`, (tokens of its record,) what it hides; None for a causal model."""
        if self.hides is None:
            return None
        return [self.hides[self.record[row]] == self.number[row] for row in rows]

    def positions(self) -> Integers:
        """The place in its record of every scored token of a masked model, row after row."""
        assert self.hides is not None
        return np.concatenate([np.argsort(hides, kind="stable") for hides in self.hides])


def causal(lengths: Integers) -> Passes:
    """One pass over each record."""
    return Passes(np.arange(len(lengths)), np.zeros(len(lengths), dtype=np.int64), lengths)


def masked(
    lengths: Integers, record_ids: Sequence[str], settings: EvidenceSettings, seed: int
) -> Passes:
    """Passes that hide every token exactly once.

    The sets are a pure function of the study's seed, the record's id and its length, so that all
    models of a study get the same queries.
    """
    hides = [
        _hides(int(length), record, settings, seed)
        for length, record in zip(lengths, record_ids, strict=True)
    ]
    passes = np.array([1 + hides_.max() for hides_ in hides])
    record = np.repeat(np.arange(len(hides)), passes)
    first = np.cumsum(passes) - passes
    return Passes(record, np.arange(len(record)) - first[record], lengths[record], hides)


def _hides(length: int, record: str, settings: EvidenceSettings, seed: int) -> Integers:
    """(length,) the pass that hides each token; sizes of the sets differ by one at most."""
    if settings.masking == "each":
        return np.arange(length)
    order = seeding.stream(seed, "passes", record).permutation(length)
    hides = np.empty(length, dtype=np.int64)
    hides[order] = np.arange(length) % min(settings.passes, length)
    return hides
