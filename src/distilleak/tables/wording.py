"""Numbers as they are written in a sentence: with a minus sign, a sign, an interval."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    def excludes(self, number: float) -> bool:
        """Whether the interval lies on one side of `number`."""
        return self.low > number or self.high < number

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})".replace("-", "−")

    def signed(self) -> str:
        """A difference and its interval, each with its sign."""
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})".replace("-", "−")


def p_text(p: float) -> str:
    """A p-value: "p < 0.001" or "p = 0.012"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def signed(value: float) -> str:
    """A difference without an interval, "unknown" where it is NaN."""
    return "unknown" if np.isnan(value) else f"{value:+.3f}".replace("-", "−")


def listed(parts: Sequence[str]) -> str:
    """At least one part: "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
