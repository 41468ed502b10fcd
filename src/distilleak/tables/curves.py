"""roc and histograms: how the scores of members and non-members lie, in few points."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from distilleak.metrics.rates import Floats, roc_curve
from distilleak.scores import Scores
from distilleak.tables.base import Layout
from distilleak.tables.results import Results

ROC_COLUMNS = ["pair", "model", "attack", "fpr", "tpr"]
HISTOGRAM_COLUMNS = ["pair", "model", "attack", "pool", "left", "right", "density"]
POINTS = 200
BINS = 40
NARROWEST = 1e-4
"""Scores that differ by less than this share of their size are one bar: the table has 7 digits."""
TINY = 1e-12
"""So are scores that differ by less than rounding leaves around zero."""


def build_roc(layout: Layout, results: Results) -> pd.DataFrame:
    """The ROC curves, from (0, 0) to (1, 1), at most `POINTS` points each.

    Over seeds the curves are averaged vertically (Fawcett 2006, section 8): the mean TPR at the
    same FPR.
    """
    parts = []
    for pair, model, attack, by_seed in _scored(layout, results):
        curves = [roc_curve(s.attacks[attack], s.teacher_member) for s in by_seed]
        nonmembers = max(int((~s.teacher_member).sum()) for s in by_seed)
        fpr, tpr = average(curves, nonmembers)
        points = {"pair": pair, "model": model, "attack": attack, "fpr": fpr, "tpr": tpr}
        parts.append(pd.DataFrame(points, columns=ROC_COLUMNS))
    return pd.concat(parts, ignore_index=True)


def average(curves: Sequence[tuple[Floats, Floats]], nonmembers: int) -> tuple[Floats, Floats]:
    """The vertical mean of ROC curves on a logarithmic grid of false-positive rates.

    The grid holds 0 and fractions k / nonmembers up to 1; between two of its own points a curve
    has the TPR of the left one, the largest at that FPR or under. (0, 0) comes first, so that a
    curve that finds members without any false positive rises from there.

    Args:
        curves: (FPR, TPR) of each seed, from `metrics.rates.roc_curve`.
        nonmembers: the finest grid that the data support.

    Returns:
        (FPR, TPR), each (points,), both ascending.
    """
    counts = np.unique(np.rint(np.geomspace(1, nonmembers, POINTS - 2)))
    grid = np.append(0, counts / nonmembers)
    tpr = np.mean(
        [tpr[np.searchsorted(fpr, grid, side="right") - 1] for fpr, tpr in curves], axis=0
    )
    return (grid, tpr) if tpr[0] == 0 else (np.append(0, grid), np.append(0, tpr))


def build_histograms(layout: Layout, results: Results) -> pd.DataFrame:
    """The histograms: `BINS` equal bins over all scores of both pools and all seeds.

    The density of each pool integrates to 1.
    """
    parts = []
    for pair, model, attack, by_seed in _scored(layout, results):
        scores = np.concatenate([s.attacks[attack] for s in by_seed])
        member = np.concatenate([s.teacher_member for s in by_seed])
        edges = _edges(scores)
        for pool, side in (("member", member), ("nonmember", ~member)):
            density, _ = np.histogram(scores[side], edges, density=True)
            names = {"pair": pair, "model": model, "attack": attack, "pool": pool}
            bins = {"left": edges[:-1], "right": edges[1:], "density": density}
            parts.append(pd.DataFrame(names | bins, columns=HISTOGRAM_COLUMNS))
    return pd.concat(parts, ignore_index=True)


def _edges(scores: Floats) -> Floats:
    low, high = float(scores.min()), float(scores.max())
    size = max(abs(low), abs(high))
    if high - low < max(NARROWEST * size, TINY):
        half = max(size, 1.0) / 2
        low, high = low - half, high + half
    return np.linspace(low, high, BINS + 1)


def _scored(layout: Layout, results: Results) -> Iterator[tuple[str, str, str, list[Scores]]]:
    for pair, model in layout.models():
        by_seed = [results.scores[seed, pair, model.model] for seed in layout.seeds]
        for attack in layout.attacks:
            yield pair, model.model, attack, by_seed
