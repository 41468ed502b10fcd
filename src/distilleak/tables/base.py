"""What all tables share: the types of their columns, estimates per seed and pooled over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distilleak.errors import DistilleakError
from distilleak.metrics.ranges import ANY, Range
from distilleak.metrics.rates import Floats

Columns = Mapping[str, type[str] | type[int] | type[float] | type[bool]]
"""The columns of a table in their order, each with the type of what it holds; NaN may stand in a
column of float."""

Key = tuple[str, str, str]  # attack, metric, threshold; attack and threshold may be empty


@dataclass(frozen=True)
class Estimate:
    """One metric of one model and seed, with its 95 % interval."""

    value: float
    low: float
    high: float
    replicates: Floats  # (B,); all equal where something is counted, not estimated


@dataclass(frozen=True)
class Pooled:
    """One metric of one model over seeds: their mean, and the interval of the mean."""

    value: float
    low: float
    high: float
    by_seed: Floats  # (S,)
    replicates: Floats  # (S, B), of every seed
    ends: Floats  # (S, 2), of every seed's own interval


def pool(estimates: Sequence[Estimate], within: Range = ANY) -> Pooled:
    """Pool one metric, whose values lie `within` a range, over seeds by `metrics.seeds.over_seeds`;
    one seed keeps its own interval.

    Raises:
        DistilleakError: there is no estimate.
    """
    # Figures read tables of pooled metrics and do without scipy, which takes long to import.
    from distilleak.metrics.seeds import over_seeds

    if not estimates:
        raise DistilleakError("no seed has this metric; there is nothing to pool")
    values = np.array([estimate.value for estimate in estimates])
    replicates = np.stack([estimate.replicates for estimate in estimates])
    ends = np.array([(estimate.low, estimate.high) for estimate in estimates])
    if len(estimates) == 1:
        only = estimates[0]
        return Pooled(only.value, only.low, only.high, values, replicates, ends)
    found = over_seeds(values, replicates, within=within, ends=ends)
    return Pooled(found.value, found.low, found.high, values, replicates, ends)


PooledMetrics = Mapping[tuple[str, str], Mapping[Key, Pooled]]
"""(pair, model) -> metric -> its pooled estimate."""
