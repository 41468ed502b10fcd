"""ReCaLL attack (Xie et al. 2024, arXiv 2406.15968): the cost of a prefix of non-members.

A memorised text is predicted best on its own. Relative to its loss on its own, unrelated context
raises its loss more than that of a text that the model never saw.
"""

from distilleak.attacks.base import Needs, ScoreArray, loss_ratio
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(views=("plain", "prefix_nonmember"))
THREAT = "distribution"


class Parameters(Settings):
    """The prefix belongs to the view, so there is nothing to choose."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """L(x given P) / L(x), L = -mean log p over the tokens of x alone; (records,)."""
    return loss_ratio(evidence.views["prefix_nonmember"], evidence.views["plain"])
