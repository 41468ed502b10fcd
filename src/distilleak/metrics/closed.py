"""Intervals of rates by formula: what a bootstrap's interval has to include.

Near 0 and 1 a bootstrap of the records is too narrow. In the extreme, where no member is found or
all are, its interval is a single point. An interval that includes both its own and one of these
keeps its level (`tests/metrics/test_metrics_coverage.py`), and elsewhere it is hardly wider.
"""

from collections.abc import Sequence

import numpy as np

from distilleak.metrics import binomial, delong
from distilleak.metrics.rates import Floats, Labels

Interval = tuple[float, float]


def auc(scores: Floats, labels: Labels) -> Interval | None:
    """DeLong's; None for fewer than two records of a side, of which there is none.

    Of scores with two values the AUC is the balanced accuracy of the only decision there is. Its
    interval holds however few records have the rarer value, which DeLong's does not.
    """
    if min(labels.sum(), (~labels).sum()) < 2:
        return None
    high = scores == scores.max()
    if (scores[~high] == scores.min()).all() and not high.all():
        right = [
            (float((high[side] == called).mean()), int(side.sum()))
            for side, called in ((labels, True), (~labels, False))
        ]
        return mean_of_shares(right)
    return delong.auc_interval(scores, labels)[1:]


def share(value: float, records: int) -> Interval:
    """That of Clopper and Pearson, for the share `value` of so many records."""
    low, high = binomial.clopper_pearson(round(value * records), records)
    return float(low), float(high)


def mean_of_shares(shares: Sequence[tuple[float, int]]) -> Interval:
    """For the mean of shares, each given with its number of records, of which none is in two.

    The distances from the shares to the ends of their own intervals add up as standard errors do
    (Zou and Donner 2008, "Construction of confidence limits about effect measures").
    """
    ends = np.array([share(*each) for each in shares])
    values = np.array([value for value, _ in shares])
    reach = np.sqrt(((ends - values[:, None]) ** 2).sum(axis=0)) / len(shares)
    middle = float(values.mean())
    return middle - float(reach[0]), middle + float(reach[1])


def mean(values: Floats) -> Interval | None:
    """For the mean of quantities between 0 and 1 that have not been seen to vary; else None."""
    if (values != values[0]).any():
        return None
    return binomial.all_alike(float(values[0]), len(values))
