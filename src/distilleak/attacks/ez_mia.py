"""EZ-MIA attack (Ilić et al. 2026, arXiv 2601.12104): the traces of training at wrong tokens.

Where the target's first choice is wrong, training on the text has still raised the probability of
the true token compared with a model that never saw it. On other texts, probabilities have risen and
fallen about equally.
"""

import numpy as np

from distilleak.attacks.base import RESOLUTION, Needs, ScoreArray, defined, gain
from distilleak.evidence.table import Evidence
from distilleak.ragged import Ragged
from distilleak.settings.base import Settings

NEEDS = Needs(references=1)
THREAT = "references"


class Parameters(Settings):
    """The error zone attack has nothing to choose."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Sum of the positive parts of l_T - l_R over that of the negative parts; (records,).

    The sums are over the tokens with rank > 0: a tied first choice is not wrong. A sum below
    `RESOLUTION` (nats) is raised to it, since float32 cannot distinguish it from 0: if nothing was
    lowered, the ratio is large but finite and grows with what was raised; if nothing was raised
    either, it is 1. A record without a wrong token has no ratio. The target knows it by heart, so
    it gets 1 / `RESOLUTION`, the ratio of one nat raised and nothing lowered. A rank below 0 is
    not known, and there is no score.
    """
    rank = evidence.views["plain"].rank
    shift = gain(evidence)
    wrong = rank.floats > 0
    raised, lowered = (
        np.maximum(
            Ragged(np.where(wrong, np.maximum(part, 0.0), 0.0), rank.offsets).sum(), RESOLUTION
        )
        for part in (shift.floats, -shift.floats)
    )
    any_wrong = Ragged(wrong, rank.offsets).sum() > 0
    known = Ragged(np.where(rank.floats < 0, np.nan, rank.floats), rank.offsets)
    return defined(np.where(any_wrong, raised / lowered, 1 / RESOLUTION), shift, known)
