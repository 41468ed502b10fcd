"""What is recorded about a model."""

from typing import Literal

from pydantic import Field

from distilleak.settings.base import Settings

PREFIXES = {"prefix_nonmember": "auxiliary", "prefix_member": "shown"}
"""Maps a view to the pool from which its prefix is drawn."""


class EvidenceSettings(Settings):
    """How evidence is computed."""

    prefix_tokens: int = Field(default=64, ge=1, le=2**20)
    """Length of the fixed prefix of auxiliary records in the `prefix_nonmember` view, in tokens."""
    batch_tokens: int = Field(default=1024, ge=1, le=2**24)
    """Tokens per forward pass. Small batches stay in a CPU's cache; a GPU needs 32768 or more. It
    is halved when memory runs out. Scores change by no more than the rounding of the dtype."""
    neighbours: int = Field(default=4, ge=1, le=1000)
    """Perturbed copies of each record in the `neighbour` view; each costs as much as `plain`."""
    neighbour_share: float = Field(default=0.1, gt=0, le=1)
    """Share of a record's tokens that is replaced in a copy; at least one token is."""
    masking: Literal["each", "disjoint"] = "disjoint"
    """Masked models only. `each`: tokens are masked one at a time, with one pass per token (Salazar
    et al. 2020, eq. 1). `disjoint`: the tokens are divided at random into `passes` sets, which are
    masked in turn."""
    passes: int = Field(default=8, ge=1, le=10**4)
    """Passes of `disjoint` over a record; a record with fewer tokens gets one pass per token."""
    shards: int = Field(default=1, ge=1, le=1000)
    """Jobs among which a model's evidence is divided, for pools that would take a single job too
    long. The evidence is the same byte for byte. Records are divided in windows of 2,048."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """dtype of the model's weights and states; softmax and sums are always float32. `bfloat16`
    halves memory and shifts log-probabilities by about 0.08 nats; the error of float32 is about
    0.0001."""
