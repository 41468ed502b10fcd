"""SURP attack (Zhang & Wu 2024, arXiv 2407.21248): members hold fewer surprising tokens.

A token surprises where the model is certain, but of another one: a low log p at a low entropy.
"""

import numpy as np
from pydantic import Field

from distilleak.attacks.base import Needs, ScoreArray, defined
from distilleak.evidence.table import Evidence
from distilleak.ragged import Ragged
from distilleak.settings.base import Settings

NEEDS = Needs()


class Parameters(Settings):
    """Which tokens are surprising."""

    k: float = Field(default=0.4, gt=0, le=1)
    """Share of the tokens, the least likely ones, that is looked at; at least one token is."""

    entropy: float = Field(default=2.0, gt=0)
    """Nats; of those tokens the ones count whose distribution has a lower entropy."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Mean of log p over the surprising tokens, or the lowest log p if there is none; (records,).

    Surprising are, of the lowest max(1, floor(k n)) values of log p, those with an entropy below
    `entropy`. Of tokens with equal log p the earlier ones are taken first.
    """
    view = evidence.views["plain"]
    logp, offsets = view.logp, view.logp.offsets
    surprising = logp.lowest(parameters.k) & (-view.mean_logp.floats < parameters.entropy)
    count = Ragged(surprising, offsets).sum()
    total = Ragged(np.where(surprising, logp.floats, 0.0), offsets).sum()
    mean = np.where(count > 0, total / np.maximum(count, 1), logp.min())
    return defined(mean, logp, view.mean_logp)
