"""When two passages count as copies of each other."""

from pydantic import Field

from distilleak.settings.base import Settings


class DeduplicationSettings(Settings):
    """Exact copies are always removed, near copies by the Jaccard similarity of word shingles."""

    similarity: float = Field(default=0.5, ge=0.2, le=1)
    """Jaccard similarity of word shingles at or above which a passage counts as a copy of an
    earlier one; the earlier one is kept. MinHash finds the candidates, the exact similarity
    decides."""
    shingle_words: int = Field(default=5, ge=1, le=1000)
    """Words per shingle. Short shingles mistake common phrases for copies, long ones miss copies
    that were edited."""
