"""Robust membership inference attack, offline (Zarifzadeh et al. 2024, arXiv 2312.03262).

How much likelier is x under the target than under models in general, and is that ratio higher than
for most records that the target never saw? Offline: all reference models are models without x.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from distilleak.attacks.base import Needs, ScoreArray, population_logp, share_below
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(references=1, population=True)
THREAT = "references"


class Parameters(Settings):
    """What counts as likelier. Fix it beforehand, never on the evaluated records."""

    gamma: float = Field(default=1.0, gt=0, le=1e6)
    """The factor by which x should be likelier than a record of the population. p is a mean per
    token, so factors are near 1."""
    a: float = Field(default=1.0, ge=0, le=1)
    """Models with x are assumed to have p_in = a p_out + (1 - a), so that training adds about 1 - a
    to p. The paper's 0.3 is for image classifiers, whose p_out is close to 1. Per token of text, p
    is 0.2 to 0.001: unless a is very close to 1, (1 - a) / 2 outweighs p_out and the attack reduces
    to the loss. With 1, pbar is the mean over the reference models."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Share of the population z with (p_x / pbar_x) / (p_z / pbar_z) > gamma; (records,).

    p = exp(mean log p); pbar = ((1 + a) p_out + (1 - a)) / 2, p_out the mean of p over the
    reference models.
    """
    means = [view.logp.mean() for view in evidence.references]
    ratio = evidence.views["plain"].logp.mean() - log_offline_mean(means, parameters.a)
    means = [population_logp(view) for view in evidence.reference_population]
    population = population_logp(evidence.population) - log_offline_mean(means, parameters.a)
    return share_below(ratio - np.log(parameters.gamma), population)


def log_mean(log_p: Sequence[ScoreArray]) -> ScoreArray:
    """The log of the mean of p over models; (records,)."""
    total: ScoreArray = np.logaddexp.reduce(np.stack(log_p), axis=0)
    return total - float(np.log(len(log_p)))


def log_offline_mean(log_p_out: Sequence[ScoreArray], a: float) -> ScoreArray:
    """log(((1 + a) p_out + (1 - a)) / 2), the mean of p_out and of p_in = a p_out + (1 - a)."""
    rest = np.log1p(-a) if a < 1 else -np.inf
    both: ScoreArray = np.logaddexp(np.log1p(a) + log_mean(log_p_out), rest)
    return both - float(np.log(2))
