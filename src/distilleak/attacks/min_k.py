"""Min-K% attack (Shi et al. 2024, arXiv 2310.16789): members have few very unlikely tokens."""

from pydantic import Field

from distilleak.attacks.base import Needs, ScoreArray, lowest_mean
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs()
THREAT = "query"


class Parameters(Settings):
    """How much of a text is used."""

    k: float = Field(default=0.2, gt=0, le=1)
    """Share of the tokens, the least likely ones, that is averaged; at least one token is."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Mean of the lowest max(1, floor(k n)) values of log p(x_t | x_<t); (records,)."""
    return lowest_mean(evidence.views["plain"].logp, parameters.k)
