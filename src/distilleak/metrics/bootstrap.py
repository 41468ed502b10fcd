"""Bootstrap over records, and percentile intervals."""

import numpy as np
from numpy.typing import NDArray

from distilleak.metrics.rates import Floats, Labels
from distilleak.seeding import stream

# Draws held at a time, to bound the memory.
_BLOCK = 2**20


def weights(labels: Labels, replicates: int, seed: int) -> NDArray[np.int16]:
    """How often each record is drawn in each bootstrap replicate, (replicates, records).

    Members and non-members are resampled separately, each to their own number (the two-sample
    bootstrap of Efron and Tibshirani 1993, chapter 8). A pure function of its arguments: models
    compared on the same records are resampled alike, so that their differences are paired.
    Records of only one kind, such as the hold-out pool, are one sample: give them equal labels.
    """
    drawn = np.zeros((replicates, len(labels)), np.int16)
    for name, side in (("members", labels), ("non-members", ~labels)):
        columns = np.flatnonzero(side)
        if len(columns):
            rng = stream(seed, "bootstrap", name)
            drawn[:, columns] = _multiplicities(len(columns), replicates, rng)
    return drawn


def stratified(groups: NDArray[np.int64], replicates: int, seed: int) -> NDArray[np.int16]:
    """Like `weights`, for any number of groups, each resampled to its own number of records.

    Args:
        groups: (records,), whole numbers from 0; the draws of a group depend on its own number and
            size only.
        replicates: rows to draw.
        seed: of the draws.
    """
    drawn = np.zeros((replicates, len(groups)), np.int16)
    for group in np.unique(groups):
        columns = np.flatnonzero(groups == group)
        rng = stream(seed, "bootstrap", "group", int(group))
        drawn[:, columns] = _multiplicities(len(columns), replicates, rng)
    return drawn


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


def _multiplicities(records: int, replicates: int, rng: np.random.Generator) -> NDArray[np.int16]:
    step = max(1, _BLOCK // records)
    blocks = []
    for start in range(0, replicates, step):
        rows = min(step, replicates - start)
        drawn = rng.integers(records, size=(rows, records))
        drawn += np.arange(rows)[:, None] * records  # a bin for each replicate and record
        counts = np.bincount(drawn.ravel(), minlength=rows * records)
        blocks.append(counts.reshape(rows, records).astype(np.int16))
    return np.concatenate(blocks)
