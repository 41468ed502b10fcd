"""histograms: how the scores of members and non-members lie, in few bars."""

import numpy as np
import pandas as pd

from distilleak.metrics.rates import Floats
from distilleak.tables.base import Columns
from distilleak.tables.results import StudyResults

COLUMNS: Columns = {
    "pair": str,
    "model": str,
    "attack": str,
    "pool": str,
    "left": float,
    "right": float,
    "density": float,
}
BINS = 40
NARROWEST = 1e-4
"""Scores that differ by less than this share of their size are one bar: the table has 7 digits."""
TINY = 1e-12
"""So are scores that differ by less than rounding leaves around zero."""


def build(study: StudyResults) -> pd.DataFrame:
    """The histograms: `BINS` equal bins over all scores of both pools and all seeds.

    The density of each pool integrates to 1.
    """
    parts = []
    for pair, model, attack, by_seed in study.scored():
        scores = np.concatenate([s.attacks[attack] for s in by_seed])
        member = np.concatenate([s.teacher_member for s in by_seed])
        edges = _edges(scores)
        for pool, side in (("member", member), ("nonmember", ~member)):
            density, _ = np.histogram(scores[side], edges, density=True)
            names = {"pair": pair, "model": model, "attack": attack, "pool": pool}
            bins = {"left": edges[:-1], "right": edges[1:], "density": density}
            parts.append(pd.DataFrame(names | bins, columns=list(COLUMNS)))
    return pd.concat(parts, ignore_index=True)


def _edges(scores: Floats) -> Floats:
    low, high = float(scores.min()), float(scores.max())
    size = max(abs(low), abs(high))
    if high - low < max(NARROWEST * size, TINY):
        half = max(size, 1.0) / 2
        low, high = low - half, high + half
    return np.linspace(low, high, BINS + 1)
