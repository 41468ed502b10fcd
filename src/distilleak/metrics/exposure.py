"""Exposure of canaries: how high a model ranks a secret that it was trained on."""

import numpy as np
from scipy import special

from distilleak.errors import DistilleakError
from distilleak.metrics.binomial import all_alike
from distilleak.metrics.ranges import cut
from distilleak.metrics.rates import Floats


def exposure(secrets: Floats, others: Floats) -> Floats:
    """Exposure in bits of each canary, (canaries,): log2 |R| - log2 rank (Carlini et al. 2019).

    R holds the secret and its r other candidates, |R| = r + 1 (arXiv 1802.08232, definition 4).
    Rank 1 is the most likely candidate; a secret tied with others gets the middle of their ranks.
    A secret that is ranked first has exposure log2 |R|; one that was never seen has 1 / ln 2 = 1.44
    on average.

    Args:
        secrets: (canaries,), score of each true secret, higher = more likely.
        others: (canaries, r), scores of the other candidates among which it is ranked.

    Raises:
        DistilleakError: the shapes disagree, there are no candidates, or a score is NaN.
    """
    if others.ndim != 2 or len(others) != len(secrets) or not others.shape[1]:
        raise DistilleakError(
            f"{len(secrets)} secrets and candidates {others.shape}; allowed: "
            f"({len(secrets)}, at least 1)"
        )
    if np.isnan(secrets).any() or np.isnan(others).any():
        raise DistilleakError("a score of a canary or candidate is NaN; it has no rank")
    secret = secrets[:, None]
    rank = 1 + (others > secret).sum(axis=1) + (others == secret).sum(axis=1) / 2
    return np.asarray(np.log2(others.shape[1] + 1) - np.log2(rank), np.float64)


def mean_exposure(exposures: Floats, most: float) -> tuple[float, float, float]:
    """Mean and 95 % interval by Student's t: over the canaries of one seed, or over seeds' means.

    Canaries of one seed share their models, so with several seeds only the seeds are independent.
    If nothing varies, as where every secret is ranked first, the interval is `binomial.all_alike`
    of that many.

    Args:
        exposures: (seeds, canaries), at least two of them.
        most: what a secret has that is ranked first, the largest exposure possible.
    """
    values = exposures.mean(axis=1) if len(exposures) > 1 else exposures[0]
    mean = float(values.mean())
    if (values == values[0]).all():
        low, high = all_alike(mean / most, len(values))
        return mean, low * most, high * most
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    reach = float(special.stdtrit(len(values) - 1, 0.975)) * error
    return mean, *cut(mean - reach, mean + reach, (0.0, most))
