"""Neighbourhood attack (Mattern et al. 2023, arXiv 2305.18462): the loss against similar texts.

A memorised text has a lower loss than texts that say nearly the same; other texts do not.
"""

import numpy as np

from distilleak.attacks.base import Needs, ScoreArray
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(views=("plain", "neighbour"))
THREAT = "distribution"


class Parameters(Settings):
    """The copies belong to the view, so there is nothing to choose."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """mean_j L(x~_j) - L(x) in nats per token, x~_j the perturbed copies of x; (records,)."""
    copies: ScoreArray = np.mean([-view.logp.mean() for view in evidence.neighbours], axis=0)
    return copies + evidence.views["plain"].logp.mean()
