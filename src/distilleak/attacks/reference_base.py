"""Reference attack with the public base model: the loss against that of what the model was before.

A fine-tuned model differs from its public base by what it has learned since. The base costs no
training, but it does not know the domain of the private records; reference models that are tuned on
other records of that domain find more (`reference`).
"""

from distilleak.attacks.base import Needs, ScoreArray
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(base=True)
THREAT = "base"


class Parameters(Settings):
    """The attack has nothing to choose."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """L_B - L_T in nats per token, L_B the loss of the base that the target starts from;
    (records,)."""
    assert evidence.base is not None
    return evidence.views["plain"].logp.mean() - evidence.base.logp.mean()
