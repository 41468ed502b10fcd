"""Comparisons between models: differences, p-values, and their correction for multiple tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from distilleak.errors import DistilleakError
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


def detectable(difference: Difference, level: float, power: float) -> float:
    """The smallest true difference that a two-sided test would find with probability `power`.

    (t(1 - level / 2) + t(power)) e with the quantiles of Student's t at the difference's degrees of
    freedom (normal when infinite) and its standard error e: the usual approximation, which shifts
    the central distribution (Cohen 1988, section 2.2).

    Args:
        difference: as it was measured.
        level: of the test; divide it by the number of tests, as Bonferroni does, where several are
            corrected together.
        power: above `level`.
    """
    quantiles = (
        [special.ndtri(share) for share in (1 - level / 2, power)]
        if math.isinf(difference.degrees)
        else [special.stdtrit(difference.degrees, share) for share in (1 - level / 2, power)]
    )
    return float(sum(quantiles)) * difference.standard_error
