"""Joint attack on a student and its teacher, for whoever holds both because both were published.

For each of the two models: how much likelier is x than under reference models, compared with how
that varies between records of the population, which neither has seen? The sum of the two z-scores
(Stouffer et al. 1949) is the likelihood ratio test for members whose z-scores are higher by the
same amount in both models, if they are normally distributed. This holds whatever their correlation,
which is high, as one model has learned from the other: with variances of 1 and a correlation of c,
the optimal weights, those of the inverse covariance times (1, 1), are 1 / (1 + c) for either.
Nothing is fitted to members. The z-scores of a model that has learned nothing about its members are
noise, though, which costs some power against the stronger of the two alone.

The z-score of a model without a teacher counts twice: that of the teacher itself, and that of a
student that was trained alone. Their records are ranked as the attack `reference` ranks them.
"""

from collections.abc import Sequence

import numpy as np

from distilleak.attacks.base import RESOLUTION, Needs, ScoreArray, population_logp
from distilleak.errors import DistilleakError
from distilleak.evidence.table import Evidence, View
from distilleak.settings.base import Settings

NEEDS = Needs(references=1, population=True, teacher=True)
THREAT = "pair"


class Parameters(Settings):
    """The two models count the same, so there is nothing to choose."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """(z_S + z_T) / 2, z = (r - mean r) / std r, r = L_R - L; (records,).

    L is the loss in nats per token and L_R its mean over the reference models. Mean and sample
    standard deviation are those of the model on the population. A deviation below `RESOLUTION` is
    raised to it: float32 cannot distinguish it from 0.

    Raises:
        DistilleakError: there is no evidence on the teacher, or on two records of the population.
    """
    if evidence.teacher is None:
        raise DistilleakError("the attack needs evidence of the teacher; there is none")
    of_references = _mean_logp(evidence.references)
    elsewhere = _mean_logp(evidence.reference_population)
    z = [
        _standardised(own.logp.mean() - of_references, population_logp(population) - elsewhere)
        for own, population in (
            (evidence.views["plain"], evidence.population),
            (evidence.teacher, evidence.teacher_population),
        )
    ]
    mean: ScoreArray = np.mean(z, axis=0)
    return mean


def _mean_logp(views: Sequence[View]) -> ScoreArray:
    """The mean over models of the mean of log p, (records,)."""
    mean: ScoreArray = np.mean([view.logp.mean() for view in views], axis=0)
    return mean


def _standardised(gain: ScoreArray, population: ScoreArray) -> ScoreArray:
    if len(population) < 2:
        raise DistilleakError(
            "the attack needs evidence on two population records or more: one has no spread"
        )
    z: ScoreArray = (gain - population.mean()) / max(float(population.std(ddof=1)), RESOLUTION)
    return z
