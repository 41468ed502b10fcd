"""What an attack is: a pure function from evidence to one score per record.

An attack is a module of this package named after it. It defines

* `Parameters`: its settings, a section of the configuration;
* `VIEWS`: the views of the target model that it reads;
* `REFERENCES`: how many reference models it needs at least;
* `score(evidence, parameters)`: one float64 score per record, higher = more likely a member.

A score that cannot be computed is NaN or infinite, never a stand-in; `checked` turns it into an
error. The functions below are what several attacks share.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.evidence import Evidence, View
from distilleak.ragged import Ragged
from distilleak.settings.base import Settings

Scores = NDArray[np.float64]  # (records,)

RESOLUTION = float(np.finfo(np.float32).eps)  # of evidence, at magnitude 1 (nats)


class Attack(Protocol):
    """The interface of an attack module."""

    Parameters: type[Settings]
    VIEWS: tuple[str, ...]
    REFERENCES: int

    def score(self, evidence: Evidence, parameters: Any) -> Scores: ...


def checked(scores: Scores, attack: str, evidence: Evidence) -> Scores:
    """Return `scores` unchanged.

    Raises:
        DistilleakError: a score is NaN or infinite; the message names the attack and the record.
    """
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        record = evidence.record_id[int(bad[0])]
        raise DistilleakError(
            f"attack {attack!r}: the score of record {record!r} is {scores[bad[0]]}; "
            "scores must be finite, so its evidence holds NaN or infinite values"
        )
    return scores


def loss_ratio(changed: View, plain: View) -> Scores:
    """L(changed) / L(plain) with L = -mean log p; (records,).

    A loss below `RESOLUTION` counts as `RESOLUTION`: float32 log-probabilities cannot tell it
    from 0. So a text predicted with p = 1 throughout has the ratio 1 where the change costs
    nothing, and a large finite one where it costs something; both are the limits for p -> 1.
    """
    above, below = (np.maximum(-view.logp.mean(), RESOLUTION) for view in (changed, plain))
    return above / below


def lowest_mean(values: Ragged, k: float) -> Scores:
    """The mean of the lowest max(1, floor(k n)) values of each row; NaN if the row holds NaN.

    Sorting puts NaN last, where it would be left out unseen.
    """
    return np.where(np.isnan(values.sum()), np.nan, values.lowest_mean(k))
