"""What is recorded of a model."""

from typing import Literal

from pydantic import Field

from distilleak.settings.base import Settings

PREFIXES = {"prefix_nonmember": "auxiliary", "prefix_member": "shown"}
"""View -> the pool from which its prefix comes."""


class EvidenceSettings(Settings):
    """How evidence is computed."""

    prefix_tokens: int = Field(default=64, ge=1)
    """Length of the fixed prefix of auxiliary records in the `prefix_nonmember` view, in tokens."""
    batch_tokens: int = Field(default=1024, ge=1)
    """Tokens per forward pass. Small batches stay in a CPU's cache; a GPU wants 32768 or more. It
    is halved where memory runs out. Scores change by no more than the rounding of the dtype."""
    neighbours: int = Field(default=4, ge=1)
    """Perturbed copies of every record in the `neighbour` view; each costs as much as `plain`."""
    neighbour_share: float = Field(default=0.1, gt=0, le=1)
    """Share of a record's tokens that are replaced in a copy, at least one."""
    masking: Literal["each", "disjoint"] = "disjoint"
    """Masked models only. `each`: every token is hidden alone, one pass a token (Salazar et al.
    2020, eq. 1). `disjoint`: `passes` random sets, which together cover every token, are hidden in
    turn."""
    passes: int = Field(default=8, ge=1)
    """Passes of `disjoint` over a record; shorter records get one pass a token."""
    shards: int = Field(default=1, ge=1)
    """Jobs among which a model's evidence is divided, for pools that take one job too long. It
    changes no byte of the evidence. Records are divided by windows of 2,048."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """The model's weights and states; softmax and sums are always float32. `bfloat16` halves memory
    and shifts log-probabilities by about 0.08 nats, where float32 errs by about 0.0001."""
