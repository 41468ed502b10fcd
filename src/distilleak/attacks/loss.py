"""Loss attack (Yeom et al. 2018): members have a lower loss. Score: the mean of log p."""

from distilleak.attacks.base import Needs, ScoreArray
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs()
THREAT = "query"


class Parameters(Settings):
    """The loss attack has nothing to choose."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """-L, with L = -mean over tokens of log p(x_t | x_<t); (records,)."""
    return evidence.views["plain"].logp.mean()
