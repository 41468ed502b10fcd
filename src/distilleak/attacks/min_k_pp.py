"""Min-K%++ attack (Zhang et al. 2025, arXiv 2404.02936): Min-K% on standardised log p.

Each token is compared with the model's predictions for other tokens in the same place: training
makes the true token a mode of the model's distribution, however flat that distribution is.
"""

import numpy as np
from pydantic import Field

from distilleak.attacks.base import RESOLUTION, Needs, ScoreArray, lowest_mean
from distilleak.evidence.table import Evidence, View
from distilleak.ragged import Ragged
from distilleak.settings.base import Settings

NEEDS = Needs()
THREAT = "logits"


class Parameters(Settings):
    """How much of a text is used."""

    k: float = Field(default=0.2, gt=0, le=1)
    """Share of the tokens, those with the lowest z, that is averaged; at least one token is."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Mean of the lowest max(1, floor(k n)) values of z_t; (records,)."""
    return lowest_mean(standardised(evidence.views["plain"]), parameters.k)


def standardised(view: View) -> Ragged:
    """z_t = (log p_t - mean_logp_t) / std_logp_t, in float64.

    Mean and standard deviation are those of log p under the model's own next-token distribution,
    not uniform over the vocabulary. Where the model is certain, the deviation goes to 0. Below the
    resolution of float32 it is raised to that resolution: for the certain token z -> 0 (exactly 0
    at p = 1), as it must since |z| <= sqrt((1 - p) / p), and for any other token z stays finite.
    """
    logp, mean, std = (
        column.values.astype(np.float64) for column in (view.logp, view.mean_logp, view.std_logp)
    )
    return Ragged((logp - mean) / np.maximum(std, RESOLUTION), view.logp.offsets)
