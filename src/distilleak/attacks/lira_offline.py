"""Offline likelihood ratio attack (Carlini et al. 2022, arXiv 2112.03570).

Models that never saw a record show how confident a model is in it without training. The score is
one-sided: the probability that such a model is less confident than the target. The two-sided
log-density, which also ranks high the records that the target knows *less*, is a different attack.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import log_ndtr

from distilleak.attacks._normal import Variance, confidence, fit
from distilleak.attacks.base import Needs, ScoreArray
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(references=2)
THREAT = "references"


class Parameters(Settings):
    """How the spread of the reference models is estimated."""

    variance: Variance = "pooled"
    """`pooled` over the records, or `per_record`, which needs dozens of models."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """log Phi((phi_T - mean phi_out) / std phi_out); (records,).

    Raises:
        DistilleakError: there are fewer than two reference models.
    """
    return judge(summarise(evidence), parameters, evidence.record_id)


def summarise(evidence: Evidence) -> ScoreArray:
    """phi of the target and of every reference model, (1 + models, records)."""
    return np.stack([confidence(view) for view in (evidence.views["plain"], *evidence.references)])


def judge(summary: ScoreArray, parameters: Parameters, record_id: Sequence[str]) -> ScoreArray:
    """The scores of all the records over which a pooled variance is taken, (records,)."""
    target, phi = summary[0], summary[1:]
    mean, deviation = fit(phi, np.ones(phi.shape, np.bool_), parameters.variance, record_id)
    scores: ScoreArray = log_ndtr((target - mean) / deviation)
    return scores
