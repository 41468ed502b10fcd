"""No interval of a metric reaches beyond what the metric can be."""

import math

import numpy as np
import pytest

from distilleak.metrics.ranges import range_of
from distilleak.metrics.seeds import over_seeds


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("auc", (0, 1)),
        ("auc_delong", (0, 1)),
        ("tpr_at_fpr_0.01", (0, 1)),
        ("tpr_at_fpr_0.001_exact", (0, 1)),
        ("balanced_accuracy", (0, 1)),
        ("member_accuracy", (0, 1)),
        ("top1_accuracy", (0, 1)),
        ("heldout_loss", (0, math.inf)),
        ("perplexity", (0, math.inf)),
        ("epsilon", (0, math.inf)),
        ("parameters", (-math.inf, math.inf)),
        ("interaction", (-math.inf, math.inf)),
    ],
)
def test_the_range_of_a_metric(metric: str, expected: tuple[float, float]) -> None:
    assert range_of(metric) == expected


def test_an_interval_over_seeds_is_cut_off_where_the_metric_ends() -> None:
    values, replicates = np.array([0.95, 0.99]), np.full((2, 5), 0.5)
    free = over_seeds(values, replicates)
    assert free.high > 1
    cut = over_seeds(values, replicates, within=range_of("auc"))
    assert (cut.value, cut.low, cut.high) == (free.value, free.low, 1.0)
    assert (cut.standard_error, cut.degrees) == (free.standard_error, free.degrees)
    low = over_seeds(1 - values, replicates, within=range_of("auc"))
    assert low.low == 0.0
