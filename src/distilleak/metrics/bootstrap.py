"""Bootstrap over records, or over seeds and records if there are several seeds."""

import numpy as np
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
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


def pooled(replicates: Floats, values: Floats, seed: int) -> tuple[float, Floats]:
    """The mean over seeds, and its replicates by the hierarchical bootstrap.

    Each pooled replicate draws as many seeds as there are, with replacement, and within each drawn
    seed one of its bootstrap replicates, independently (Davison and Hinkley 1997, section 3.8).
    The draws depend only on the shapes and `seed`, so models pooled with the same `seed` stay
    paired.

    Few seeds say little about the variation between seeds, and no resampling changes that. With S
    seeds the expected variance is ((S - 1) / S between + (2 S - 1) / S within) / S, where the truth
    is (between + within) / S: two seeds show half the variance between seeds and 1.5 times that
    within, and there are only 3, 10 and 35 different draws of 2, 3 and 4 seeds. With two to four
    seeds, read the interval as an order of magnitude; it is too narrow if seeds differ much.
    `seeds.over_seeds` gives an interval that keeps its level.

    Args:
        replicates: bootstrap replicates of each seed, (S, B).
        values: the estimate of each seed, (S,).
        seed: of the draws.

    Returns:
        The mean and its replicates (B,); a single seed's replicates are returned unchanged.

    Raises:
        DistilleakError: there is no seed, or not one value for each row of replicates.
    """
    seeds, count = replicates.shape
    if seeds != len(values) or not seeds:
        raise DistilleakError(f"{len(values)} values for {seeds} seeds of replicates; one each")
    if seeds == 1:
        return float(values[0]), replicates[0]
    rng = stream(seed, "pooled")
    drawn_seed = rng.integers(seeds, size=(seeds, count))
    drawn_replicate = rng.integers(count, size=(seeds, count))
    return float(np.mean(values)), replicates[drawn_seed, drawn_replicate].mean(axis=0)


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
