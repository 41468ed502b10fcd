"""SURP attack (Zhang & Wu 2024, arXiv 2407.21248): members hold fewer surprising tokens.

A token is surprising if the model is certain of a different one: a low log p at a low entropy.
"""

import numpy as np
from pydantic import Field

from distilleak.attacks.base import Needs, ScoreArray, defined
from distilleak.evidence.table import Evidence
from distilleak.ragged import Ragged
from distilleak.settings.base import Settings

NEEDS = Needs()
THREAT = "logits"


class Parameters(Settings):
    """Which tokens are surprising."""

    k: float = Field(default=0.4, gt=0, le=1)
    """Share of the tokens, the least likely ones, that is considered; at least one token is."""

    entropy: float = Field(default=2.0, gt=0, le=100)
    """Of those tokens, only the ones at which the model's entropy is lower than this count, in
    nats."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Mean of log p over the surprising tokens, or the lowest log p if there is none; (records,).

    The surprising tokens are those with an entropy below `entropy` among the lowest
    max(1, floor(k n)) values of log p. Among tokens with equal log p, earlier ones are taken first.
    """
    view = evidence.views["plain"]
    logp, offsets = view.logp, view.logp.offsets
    surprising = logp.lowest(parameters.k) & (-view.mean_logp.floats < parameters.entropy)
    count = Ragged(surprising, offsets).sum()
    total = Ragged(np.where(surprising, logp.floats, 0.0), offsets).sum()
    mean = np.where(count > 0, total / np.maximum(count, 1), logp.min())
    return defined(mean, logp, view.mean_logp)
