"""Online likelihood ratio attack (Carlini et al. 2022, arXiv 2112.03570, algorithm 1).

Does the target's confidence in a record match models that trained on it, or models that did not?
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distilleak.attacks._normal import Variance, confidence, fit
from distilleak.attacks.base import Needs, ScoreArray
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(shadows=4)  # two on either side: a single one has no variance
THREAT = "shadows"


class Parameters(Settings):
    """How the spread of the shadow models is estimated."""

    variance: Variance = "pooled"
    """`pooled` over the records, separately for either side, or `per_record`, which needs dozens of
    models."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """log N(phi_T; mean phi_in, var phi_in) - log N(phi_T; mean phi_out, var phi_out); (records,).

    Raises:
        DistilleakError: too few shadow models trained on a record, or too few did not train on it.
    """
    return judge(summarise(evidence), parameters, evidence.record_id)


def summarise(evidence: Evidence) -> ScoreArray:
    """phi of the target and of every shadow model, and which of the latter trained on the record.

    Returns:
        (1 + 2 models, records).
    """
    phi = [confidence(shadow.view) for shadow in evidence.shadows]
    member = [shadow.member.astype(np.float64) for shadow in evidence.shadows]
    return np.stack([confidence(evidence.views["plain"]), *phi, *member])


def judge(summary: ScoreArray, parameters: Parameters, record_id: Sequence[str]) -> ScoreArray:
    """The scores of all the records over which a pooled variance is taken, (records,)."""
    target = summary[0]
    phi, member = np.split(summary[1:], 2)  # (models, records)
    trained = member > 0

    def log_density(used: NDArray[np.bool_]) -> ScoreArray:
        """Without the constant that cancels in the difference."""
        mean, deviation = fit(phi, used, parameters.variance, record_id)
        density: ScoreArray = -np.log(deviation) - ((target - mean) / deviation) ** 2 / 2
        return density

    return log_density(trained) - log_density(~trained)
