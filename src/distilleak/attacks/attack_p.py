"""Attack P (Ye et al. 2022, arXiv 2111.09679): the loss against that of a population.

The target's losses on records that it never saw say how low a loss is without training. It ranks
records as the loss does; its scores mean the same for every model, one minus a false-positive rate.
"""

from distilleak.attacks.base import Needs, ScoreArray, population_logp, share_below
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(population=True)


class Parameters(Settings):
    """Attack P has nothing to choose."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Share of the population with a strictly higher loss than x, L = -mean log p; (records,)."""
    return share_below(evidence.views["plain"].logp.mean(), population_logp(evidence.population))
