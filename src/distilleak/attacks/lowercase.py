"""Lowercase attack (Carlini et al. 2021, arXiv 2012.07805): the cost of lower-casing the text.

A memorised text is predicted well only as it was written, so its loss increases more.
"""

from distilleak.attacks.base import Needs, ScoreArray, loss_ratio
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(views=("plain", "lower"))
THREAT = "query"


class Parameters(Settings):
    """The lowercase attack has nothing to choose."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """L(lower(x)) / L(x), with L = -mean log p over the tokens of each text; (records,)."""
    return loss_ratio(evidence.views["lower"], evidence.views["plain"])
