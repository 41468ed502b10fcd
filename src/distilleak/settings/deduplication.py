"""When two passages count as copies of each other."""

from pydantic import Field

from distilleak.settings.base import Settings


class DeduplicationSettings(Settings):
    """Exact copies always go; near copies go by the Jaccard similarity of their word shingles."""

    similarity: float = Field(default=0.5, ge=0.2, le=1)
    """Jaccard similarity of word shingles from which a passage is a copy of an earlier one, which
    is kept. MinHash finds the candidates, the exact similarity decides."""
    shingle_words: int = Field(default=5, ge=1)
    """Words per shingle: shorter ones call common phrases copies, longer ones miss edits."""
