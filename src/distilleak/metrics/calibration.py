"""Held-out loss after one temperature is fitted: what a model knows, without its overconfidence.

Dividing all logits of a model by one number changes no ranking, and so nothing that the model
knows, but a model that is too sure of itself has a smaller loss afterwards (Guo et al. 2017, "On
Calibration of Modern Neural Networks"). The temperature is fitted on other records than those on
which the loss is measured.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from distilleak.metrics.measure import Metrics, Statistics
from distilleak.metrics.rates import Floats, Weights, chunks
from distilleak.metrics.thresholds import Folds
from distilleak.seeding import stream

STEPS = 200
"""Temperatures that are tried between two of which the loss is known, in equal ratios."""


def dealt(records: int, n_folds: int, seed: int) -> Folds:
    """The fold of each record, (records,), at random; at most as many as there are records."""
    order = stream(seed, "calibration").permutation(records)
    return order % min(n_folds, records)


def calibrated(
    logp_sum: Floats,
    tokens: NDArray[np.int64],
    scales: tuple[float, ...],
    folds: Folds,
) -> Metrics:
    """The cross-fitted loss of a model whose temperature is fitted.

    `calibrated_loss` is in nats per token: each fold is measured at the temperature that is best on
    all others, chosen anew in each replicate. `temperature` is the one that is best on all.
    Between the known temperatures, the loss is a cubic spline of the logarithm of the temperature.

    Args:
        logp_sum: (n, K), sum of the tokens' log p in each record at each inverse temperature.
        tokens: (n,), scored tokens of each record.
        scales: (K,) inverse temperatures, rising.
        folds: (n,), from `dealt`; of a single record, its temperature is fitted on itself.
    """
    known = np.log(np.array(scales))
    tried = np.linspace(known[0], known[-1], (len(known) - 1) * STEPS + 1)
    # The spline is linear in the values that it goes through.
    spline = CubicSpline(known, np.eye(len(known)))(tried)
    numbers = np.unique(folds)

    def statistics(w: Weights) -> Statistics:
        loss, best = [], []
        for rows in chunks(w):
            weighted = w[rows].astype(np.float64)
            own = {
                fold: (
                    weighted[:, folds == fold] @ logp_sum[folds == fold],
                    weighted[:, folds == fold] @ tokens[folds == fold],
                )
                for fold in numbers
            }
            total = sum(sums for sums, _ in own.values())
            count = sum(number for _, number in own.values())
            found = np.zeros(len(weighted))
            for sums, _ in own.values():
                others = total - sums if len(numbers) > 1 else total
                chosen = np.argmax(others @ spline.T, axis=1)
                found += np.einsum("bk,bk->b", sums, spline[chosen])
            loss.append(-found / count)
            best.append(np.exp(-tried[np.argmax(total @ spline.T, axis=1)]))
        return {
            ("calibrated_loss", ""): np.concatenate(loss),
            ("temperature", ""): np.concatenate(best),
        }

    return Metrics(len(tokens), statistics)
