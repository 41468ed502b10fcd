"""What the two likelihood ratio attacks share: a confidence and its fitted normal distribution."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distilleak.attacks.base import RESOLUTION, ScoreArray
from distilleak.errors import DistilleakError
from distilleak.evidence.table import View

Variance = Literal["pooled", "per_record"]


def confidence(view: View) -> ScoreArray:
    """phi, the mean over tokens of log p - log(1 - p), in nats; (records,).

    The logit scaling of Carlini et al. 2022 (arXiv 2112.03570), token by token. log(1 - p) is taken
    from the evidence: computed from log p, it loses all precision where p is near 1.
    """
    return view.logp.mean() - view.log1m_p.mean()


def fit(
    phi: NDArray[np.float64], used: NDArray[np.bool_], variance: Variance, record_id: Sequence[str]
) -> tuple[ScoreArray, ScoreArray]:
    """Mean and standard deviation of `phi` over the models that are used for each record.

    Args:
        phi: (models, records).
        used: (models, records), which models count for which record.
        variance: unbiased, for each record separately (`per_record`), or one for all records: that
            of the models about the mean of their record (`pooled`).
        record_id: (records,), for the error.

    Returns:
        Both (records,). A deviation below `RESOLUTION` is raised to `RESOLUTION`: float32 cannot
        distinguish it from that of models that agree.

    Raises:
        DistilleakError: a record has too few models.
    """
    count = used.sum(axis=0)
    needed = 1 if variance == "pooled" else 2
    few = np.flatnonzero(count < needed)
    if len(few):
        raise DistilleakError(
            f"record {record_id[int(few[0])]!r}: {count[few[0]]} models of one kind, trained on it "
            f"or not; variance {variance!r} needs at least {needed}"
        )
    mean = np.where(used, phi, 0.0).sum(axis=0) / count
    squares = np.where(used, (phi - mean) ** 2, 0.0).sum(axis=0)
    freedom = count - 1
    if variance == "pooled":
        # A record with NaN would make every score NaN; its own mean already reports it.
        known = np.isfinite(squares)
        squares, freedom = squares[known].sum(), freedom[known].sum()
        if not freedom:
            raise DistilleakError(
                "a variance needs two or more models that trained on a record, and two that did not"
            )
    deviation = np.broadcast_to(np.sqrt(squares / freedom), mean.shape)
    return mean, np.maximum(deviation, RESOLUTION)
