"""Removing copies before the split, so that no near copy of a member sits among the non-members."""

import re
from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH

from distilleak.settings.deduplication import DeduplicationSettings

PERMUTATIONS = 64
CANDIDATE_MARGIN = 0.2
"""The index is asked for this much less similarity than wanted: MinHash estimates, and a missed
candidate is a copy that stays, while a false one costs one exact comparison."""


def distinct(texts: Sequence[str], settings: DeduplicationSettings) -> list[int]:
    """Positions of the texts that are no copy, exact or near, of an earlier kept one."""
    index = MinHashLSH(
        threshold=max(0.05, settings.similarity - CANDIDATE_MARGIN), num_perm=PERMUTATIONS
    )
    shingles: dict[int, frozenset[str]] = {}
    for position, text in enumerate(texts):
        own = _shingles(text, settings.shingle_words)
        sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
        sketch.update_batch([shingle.encode() for shingle in own])
        candidates = index.query(sketch)
        if any(_jaccard(own, shingles[other]) >= settings.similarity for other in candidates):
            continue
        index.insert(position, sketch)
        shingles[position] = own
    return list(shingles)


def _shingles(text: str, words: int) -> frozenset[str]:
    tokens = re.findall(r"\w+", text.lower()) or [text]
    return frozenset(
        " ".join(tokens[start : start + words])
        for start in range(max(1, len(tokens) - words + 1))
    )


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)
