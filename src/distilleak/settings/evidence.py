"""What is recorded of a model."""

from pydantic import Field

from distilleak.settings.base import Settings


class EvidenceSettings(Settings):
    """How evidence is computed; none of it changes a score beyond float32 rounding."""

    prefix_tokens: int = Field(default=64, ge=1)
    """Length of the fixed prefix of auxiliary records in the `prefix_nonmember` view, in tokens."""
    batch_tokens: int = Field(default=1024, ge=1)
    """Tokens per forward pass. Small batches stay in a CPU's cache; a GPU wants 32768 or more."""
