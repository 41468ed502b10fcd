"""Con-ReCaLL attack (Wang et al. 2025, arXiv 2409.03363): non-member against member prefixes.

Either kind of context changes the loss of a text; what both do to any text cancels.
"""

from pydantic import Field

from distilleak.attacks.base import Needs, ScoreArray, loss_ratio
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(views=("plain", "prefix_nonmember", "prefix_member"))
THREAT = "members"


class Parameters(Settings):
    """The weight of the member prefix."""

    gamma: float = Field(default=0.5, ge=0, le=1e6)
    """Weight of the loss given members; 0 is ReCaLL. Fix it beforehand: chosen on the evaluated
    records, it would be fitted to their labels."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """(L(x given P_non) - gamma L(x given P_mem)) / L(x); (records,).

    L = -mean log p over the tokens of x alone, each at least `RESOLUTION` as in `loss_ratio`.
    """
    plain = evidence.views["plain"]
    given_nonmembers = loss_ratio(evidence.views["prefix_nonmember"], plain)
    given_members = loss_ratio(evidence.views["prefix_member"], plain)
    return given_nonmembers - parameters.gamma * given_members
