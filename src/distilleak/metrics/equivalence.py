"""Equivalence: whether a difference is not merely unproven but shown to be below a margin."""

from dataclasses import dataclass
from typing import Literal

from scipy import special

from distilleak.errors import DistilleakError
from distilleak.metrics.compare import Difference

Verdict = Literal["different", "equivalent", "different but smaller than margin", "inconclusive"]


@dataclass(frozen=True)
class Equivalence:
    """The result of two one-sided tests against a margin."""

    margin: float  # in the units of the difference
    p_value: float  # of "the difference is as large as the margin or larger"
    verdict: Verdict


def tost(difference: Difference, margin: float, alpha: float = 0.05) -> Equivalence:
    """Two one-sided tests of |a - b| >= margin (Schuirmann 1987).

    The p-value is the larger of P(T >= (margin + d) / e) and P(T >= (margin - d) / e), with T
    Student's t at the difference's degrees of freedom (normal when infinite) and e its standard
    error. It is below alpha exactly when the 1 - 2 alpha interval d +- t e lies within the margin.
    The margin must be chosen before seeing the data.

    Raises:
        DistilleakError: the margin is not above 0.
    """
    if not margin > 0:
        raise DistilleakError(f"margin {margin}; it must be above 0")
    d, error = difference.difference, difference.standard_error
    room = margin - abs(d)
    if error > 0:
        p_value = float(special.stdtr(difference.degrees, -room / error))
    else:
        p_value = 0.0 if room > 0 else 1.0
    return Equivalence(margin, p_value, verdict(difference.p_value, p_value, alpha))


def verdict(p_difference: float, p_equivalence: float, alpha: float = 0.05) -> Verdict:
    """Combine a test of "no difference" with a test of "as large as the margin".

    If there are many comparisons, pass p-values corrected for their number. Each test errs with
    probability at most alpha, and no truth makes both err: zero is within every margin.
    """
    different, small = p_difference < alpha, p_equivalence < alpha
    if different and small:
        return "different but smaller than margin"
    if different:
        return "different"
    return "equivalent" if small else "inconclusive"
