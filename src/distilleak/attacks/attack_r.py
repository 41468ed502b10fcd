"""Attack R (Ye et al. 2022, arXiv 2111.09679): the loss on x compared with reference models.

It counts how many models that never saw x do worse on it; k models give k + 1 different scores.
"""

import numpy as np

from distilleak.attacks.base import Needs, ScoreArray, defined
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(references=1)
THREAT = "references"


class Parameters(Settings):
    """Attack R has nothing to choose."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Share of the reference models with a strictly higher loss on x than the target; (records,).

    L = -mean log p.
    """
    target = evidence.views["plain"].logp
    columns = [view.logp for view in evidence.references]
    worse: ScoreArray = np.mean([column.mean() < target.mean() for column in columns], axis=0)
    return defined(worse, target, *columns)
