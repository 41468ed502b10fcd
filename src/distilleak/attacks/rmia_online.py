"""Robust membership inference attack, online (Zarifzadeh et al. 2024, arXiv 2312.03262).

As `rmia`, but the probability of x under models with x is measured on shadow models, not assumed.
"""

import numpy as np
from pydantic import Field

from distilleak.attacks.base import Needs, ScoreArray, population_logp, share_below
from distilleak.attacks.rmia import log_mean
from distilleak.errors import DistilleakError
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs(population=True, shadows=2)
THREAT = "shadows"


class Parameters(Settings):
    """What counts as likelier. Fix it beforehand, never on the evaluated records."""

    gamma: float = Field(default=1.0, gt=0, le=1e6)
    """The factor by which x should be likelier than a record of the population."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Share of the population z with (p_x / pbar_x) / (p_z / pbar_z) > gamma; (records,).

    p = exp(mean log p). pbar_x = (p_in + p_out) / 2, the means of p over the shadow models that
    trained on x and over those that did not, so that each side counts half, however many models
    it has. pbar_z is the mean of p over the same shadow models: neither they nor the target train
    on the population, so there are only models without z. (Assuming models with z, as in the
    offline attack, would put z on a different scale from x.)

    Raises:
        DistilleakError: all shadow models trained on a record, or none did.
    """
    log_p = np.stack([shadow.view.logp.mean() for shadow in evidence.shadows])  # (models, records)
    member = np.stack([shadow.member for shadow in evidence.shadows])
    one_sided = np.flatnonzero(member.all(axis=0) | ~member.any(axis=0))
    if len(one_sided):
        raise DistilleakError(
            f"record {evidence.record_id[int(one_sided[0])]!r}: all shadow models trained on it, "
            "or none did; rmia_online needs both"
        )
    sides = [
        log_mean([*np.where(used, log_p, -np.inf)]) + np.log(len(used) / used.sum(axis=0))
        for used in (member, ~member)
    ]
    ratio = evidence.views["plain"].logp.mean() - log_mean(sides)
    population = population_logp(evidence.population) - log_mean(
        [population_logp(shadow.population) for shadow in evidence.shadows]
    )
    return share_below(ratio - np.log(parameters.gamma), population)
