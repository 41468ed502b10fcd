"""The tokenizer that is trained on the auxiliary pool."""

from pydantic import Field

from distilleak.settings.base import Settings


class TokenizerSettings(Settings):
    """A byte-level BPE tokenizer, which can encode any text."""

    vocabulary: int = Field(default=2048, ge=257 + 1, le=2**20)
    """Number of tokens, including the 256 bytes and one end-of-text token. With a small vocabulary,
    small models remain trainable and the teacher's logits can be stored exactly."""
