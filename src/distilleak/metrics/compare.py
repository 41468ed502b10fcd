"""Comparisons: paired differences between models, and p-values corrected for their number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from distilleak.errors import DistilleakError
from distilleak.metrics.bootstrap import interval
from distilleak.metrics.rates import Floats


@dataclass(frozen=True)
class Difference:
    """a minus b, with its 95 % interval and two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float
    standard_error: float
    degrees: float = math.inf  # of freedom behind the p-value; infinite: normal


def paired_difference(
    values_a: float, replicates_a: Floats, values_b: float, replicates_b: Floats
) -> Difference:
    """Compare two estimates whose (B,) replicates share their weights, replicate by replicate.

    The interval is the percentile interval of the differences. The p-value is two-sided, from the
    normal approximation with the bootstrap standard error. Counting the replicates beyond zero
    instead could not give a p below 2 / B, and Holm's correction multiplies by the number of
    comparisons: with 1,000 replicates, no difference among 30 could ever be significant.

    Replicates that are undefined (NaN) for either estimate are left out. If the replicates do not
    vary, p is 1 for equal values and 0 otherwise.

    Raises:
        DistilleakError: the numbers of replicates differ, or fewer than two are defined.
    """
    if replicates_a.shape != replicates_b.shape:
        raise DistilleakError(
            f"{len(replicates_a)} and {len(replicates_b)} replicates; a paired difference needs "
            "the same ones"
        )
    replicates = replicates_a - replicates_b
    defined = replicates[~np.isnan(replicates)]
    if len(defined) < 2:
        raise DistilleakError(f"{len(defined)} defined replicates; a difference needs at least 2")
    difference = values_a - values_b
    low, high = interval(defined)
    error = float(defined.std(ddof=1))
    return Difference(difference, low, high, two_sided(difference, error), error)


def holm(p_values: Sequence[float] | Floats) -> NDArray[np.float64]:
    """Adjusted p-values, (m,), that control the family-wise error rate (Holm 1979).

    With p in ascending order, the i-th adjusted value is max over j <= i of
    min(1, (m - j + 1) p_j).

    Raises:
        DistilleakError: a p-value is NaN or not between 0 and 1.
    """
    p = np.asarray(p_values, np.float64)
    bad = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if len(bad):
        raise DistilleakError(f"p-value number {bad[0]} is {p[bad[0]]}; allowed: 0 to 1")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return adjusted


def two_sided(difference: float, standard_error: float, degrees: float = math.inf) -> float:
    """P-value of a difference under Student's t; normal for infinite degrees of freedom.

    With a standard error of zero it is 1 for a difference of zero and 0 otherwise.
    """
    if difference == 0:
        return 1.0
    if standard_error == 0:
        return 0.0
    if math.isinf(degrees):
        return math.erfc(abs(difference) / standard_error / math.sqrt(2))
    return float(2 * special.stdtr(degrees, -abs(difference) / standard_error))
