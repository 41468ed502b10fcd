"""Numbers and names as they are written in a sentence or a cell of a readable table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

METRIC_NAMES = {
    "auc": "AUC",
    "tpr_at_fpr_0.01": "TPR at 1 % FPR",
    "balanced_accuracy": "balanced accuracy",
    "member_accuracy": "member accuracy",
    "nonmember_accuracy": "non-member accuracy",
    "heldout_loss": "held-out loss (nats per token)",
    "calibrated_loss": "loss at a fitted temperature",
    "temperature": "fitted temperature",
    "perplexity": "perplexity",
    "top1_accuracy": "top-1 accuracy",
    "parameters": "parameters",
    "training_records": "training records",
    "training_tokens": "training tokens",
    "vulnerable_token_share": "vulnerable share of the vocabulary",
    "loss_before_surgery": "loss before surgery",
    "loss_after_surgery": "loss after surgery",
}
"""Metrics as people read them."""


COST_NAMES = {
    "heldout_loss": "held-out loss",
    "calibrated_loss": "held-out loss at a fitted temperature",
    "top1_error": "top-1 error",
}
"""Measures of utility as costs."""


class Interval(NamedTuple):
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    def excludes(self, number: float) -> bool:
        """Whether the interval lies on one side of `number`."""
        return self.low > number or self.high < number

    def text(self, form: str = ".3f") -> str:
        """The number and the ends of its interval, each in the format `form`."""
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})".replace("-", "−")

    def __str__(self) -> str:
        return self.text()

    def signed(self) -> str:
        """A difference and its interval, each with its sign."""
        return self.text("+.3f")


def p_text(p: float) -> str:
    """A p-value: "p < 0.001" or "p = 0.012"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def signed(value: float) -> str:
    """A difference without an interval, "unknown" where it is NaN."""
    return "unknown" if np.isnan(value) else f"{value:+.3f}".replace("-", "−")


def listed(parts: Sequence[str]) -> str:
    """At least one part: "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
