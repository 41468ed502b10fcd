"""Reference attack (Carlini et al. 2021, arXiv 2012.07805): the loss against that of other models.

Models that never saw the member records show how hard a text is in itself.
"""

import numpy as np

from distilleak.attacks.base import Needs, ScoreArray
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(references=1)
THREAT = "references"


class Parameters(Settings):
    """The reference attack has nothing to choose."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """L_R - L_T in nats per token, L_R the mean over the reference models; (records,)."""
    references: ScoreArray = np.mean([-view.logp.mean() for view in evidence.references], axis=0)
    return references + evidence.views["plain"].logp.mean()
