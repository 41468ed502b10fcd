"""Between which values a metric can lie, so that no interval of one is printed beyond them."""

import math

Range = tuple[float, float]
ANY: Range = (-math.inf, math.inf)
SHARE: Range = (0.0, 1.0)
POSITIVE: Range = (0.0, math.inf)


def cut(low: float, high: float, within: Range) -> tuple[float, float]:
    """The ends of an interval, without what lies beyond the range."""
    return max(within[0], low), min(within[1], high)


def range_of(metric: str) -> Range:
    """The smallest and the largest value of a metric, by its name."""
    if metric in ("heldout_loss", "calibrated_loss", "temperature", "perplexity", "epsilon"):
        return POSITIVE
    if metric in ("loss_before_surgery", "loss_after_surgery"):
        return POSITIVE
    shares = ("auc", "tpr_at_fpr_", "vulnerable_token_share", "agreement", "confidence")
    return SHARE if metric.startswith(shares) or metric.endswith("accuracy") else ANY
