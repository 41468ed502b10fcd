"""roc: ROC curves in few points."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from distilleak.metrics.rates import Floats, roc_curve
from distilleak.tables.base import Columns
from distilleak.tables.results import StudyResults

COLUMNS: Columns = {
    "pair": str,
    "model": str,
    "attack": str,
    "fpr": float,
    "tpr": float,
}
POINTS = 200


def build(study: StudyResults) -> pd.DataFrame:
    """The ROC curves, from (0, 0) to (1, 1), at most `POINTS` points each.

    Over seeds the curves are averaged vertically (Fawcett 2006, section 8): the mean TPR at the
    same FPR.
    """
    parts = []
    for pair, model, attack, by_seed in study.scored():
        curves = [roc_curve(s.attacks[attack], s.teacher_member) for s in by_seed]
        nonmembers = max(int((~s.teacher_member).sum()) for s in by_seed)
        fpr, tpr = average(curves, nonmembers)
        points = {"pair": pair, "model": model, "attack": attack, "fpr": fpr, "tpr": tpr}
        parts.append(pd.DataFrame(points, columns=list(COLUMNS)))
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
