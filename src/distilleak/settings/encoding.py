"""How much of a passage a model sees."""

from pydantic import Field

from distilleak.settings.base import Settings


class EncodingSettings(Settings):
    """Records are cut at a word boundary, so that exactly the text that is scored is attacked."""

    context: int = Field(default=64, ge=8, le=2**20)
    """Longest record, in tokens."""
