"""The tokenizer that is trained on the auxiliary pool."""

from pydantic import Field

from distilleak.settings.base import Settings


class TokenizerSettings(Settings):
    """A byte-level BPE tokenizer: no text is out of its vocabulary."""

    vocabulary: int = Field(default=2048, ge=257 + 1)
    """Tokens, the 256 bytes and one end-of-text token included. A small vocabulary keeps models of
    this size trainable and lets the teacher's logits be stored exactly."""
