"""What an attack is: a pure function from evidence to one score per record.

An attack is a module of this package named after it. It defines

* `Parameters`: its settings, a section of the configuration;
* `VIEWS`: the views of the target model that it reads;
* `REFERENCES`: how many reference models it needs at least;
* `score(evidence, parameters)`: one float64 score per record, higher = more likely a member.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.evidence import Evidence
from distilleak.settings.base import Settings

Scores = NDArray[np.float64]  # (records,)


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
        raise DistilleakError(f"attack {attack!r}: score {scores[bad[0]]} on record {record!r}")
    return scores
