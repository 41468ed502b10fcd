"""DC-PDD attack (Zhang et al. 2024, arXiv 2409.14781): p relative to how common a token is anyway.

A frequent token is likely in any text; the evidence is a likely token that is rare elsewhere.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from distilleak.attacks.base import Needs, ScoreArray, defined
from distilleak.errors import DistilleakError
from distilleak.evidence.table import Evidence
from distilleak.ragged import Ragged
from distilleak.settings.base import Settings

NEEDS = Needs(frequencies=True)
THREAT = "distribution"


class Parameters(Settings):
    """How much a single token may contribute."""

    a: float = Field(default=0.01, gt=0, le=1e6)
    """Upper limit of a token's contribution to the cross-entropy, in nats."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """Mean over first occurrences of min(p_t log(1 / f(x_t)), a); (records,).

    f is the token's frequency in the auxiliary pool with one added to every count, as in the
    paper, so that a token that never occurs there also has a frequency. If a record repeats a
    token, only its first occurrence counts.

    Raises:
        DistilleakError: there are no counts, or none for a token in the evidence.
    """
    view = evidence.views["plain"]
    counts = evidence.unigram
    if counts is None:
        raise DistilleakError("dc_pdd needs the token counts of the auxiliary pool")
    tokens = view.token_id.values.astype(np.int64)
    if tokens.min(initial=0) < 0 or tokens.max(initial=0) >= len(counts):
        raise DistilleakError(
            f"dc_pdd: the evidence holds token {tokens.max()}, but only the tokens below "
            f"{len(counts)} were counted; evidence and counts come from different tokenizers"
        )
    information = -np.log((counts + 1) / (counts.sum() + len(counts)))
    first = first_occurrences(view.token_id)
    cross = np.exp(view.logp.floats) * information[tokens]
    clipped = np.where(first, np.minimum(cross, parameters.a), 0.0)
    offsets = view.logp.offsets
    return defined(Ragged(clipped, offsets).sum() / Ragged(first, offsets).sum(), view.logp)


def first_occurrences(tokens: Ragged) -> NDArray[np.bool_]:
    """Whether each token is the first occurrence of its id in its row, (tokens,)."""
    ids = tokens.values.astype(np.int64)
    keys = tokens.rows * (ids.max(initial=0) + 1) + ids
    first = np.zeros(len(keys), np.bool_)
    first[np.unique(keys, return_index=True)[1]] = True
    return first
