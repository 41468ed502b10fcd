"""Attack P (Ye et al. 2022, arXiv 2111.09679): the loss compared with that of a population.

The target's losses on records that it never saw show how low a loss is without training. The attack
ranks records as the loss does, but its scores have the same meaning for every model: one minus a
false-positive rate.
"""

from distilleak.attacks.base import Needs, ScoreArray, population_logp, share_below
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(population=True)
THREAT = "distribution"


class Parameters(Settings):
    """Attack P has nothing to choose."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Share of the population with a strictly higher loss than x, L = -mean log p; (records,)."""
    return share_below(evidence.views["plain"].logp.mean(), population_logp(evidence.population))
