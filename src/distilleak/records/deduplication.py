"""Finding copies, so that no near copy of a member sits among the non-members.

Near copies are found by MinHash and banding (Broder 1997; Leskovec, Rajaraman and Ullman, Mining
of Massive Datasets, section 3.4): two texts are compared when their sketches agree in a whole
band, and then by their exact similarity. Nothing here depends on Python's randomised hashes.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distilleak import seeding
from distilleak.ragged import Ragged
from distilleak.settings.deduplication import DeduplicationSettings

Hashes = NDArray[np.uint64]

PERMUTATIONS = 128
MISSED = 1e-6
"""Largest probability that two texts just similar enough share no band and are not compared."""


def distinct(texts: Sequence[str], settings: DeduplicationSettings) -> list[int]:
    """Positions of the texts that are no copy, exact or near, of an earlier kept one."""
    if not texts:
        return []
    shingles = _shingles(texts, settings.shingle_words)
    keys, shared = _bands(_sketches(shingles), rows_per_band(settings.similarity))
    seen: dict[int, list[int]] = {}
    dropped = set()
    # A text none of whose bands occurs twice cannot be a copy of anything.
    for text in np.flatnonzero(shared.any(axis=1)).tolist():
        own = keys[text, shared[text]].tolist()
        candidates = sorted({other for key in own for other in seen.get(key, ())})
        if any(_jaccard(shingles, text, other) >= settings.similarity for other in candidates):
            dropped.add(text)
            continue
        for key in own:
            seen.setdefault(key, []).append(text)
    return [text for text in range(len(texts)) if text not in dropped]


def distinct_first(
    texts: Sequence[str], first: Sequence[bool], settings: DeduplicationSettings
) -> list[int]:
    """As `distinct`, but of copies one of those with `first` is kept, (texts,), if there is one."""
    order = sorted(range(len(texts)), key=lambda text: not first[text])
    kept = distinct([texts[text] for text in order], settings)
    return sorted(order[place] for place in kept)


def quoted(
    texts: Sequence[str], public: Sequence[str], settings: DeduplicationSettings
) -> list[int]:
    """Positions of the texts that stand in the `public` ones: of whose shingles at least the share
    `similarity` occur there, wherever that is.

    A short text inside a long one is not similar to it, and yet whoever has read the long one has
    read it.
    """
    if not public:
        return []
    shingles = _shingles([*texts, *public], settings.shingle_words)
    own = int(shingles.offsets[len(texts)])
    known = np.isin(shingles.values[:own], shingles.values[own:])
    shares = np.add.reduceat(known, shingles.offsets[: len(texts)], dtype=np.int64)
    return np.flatnonzero(shares >= settings.similarity * shingles.lengths[: len(texts)]).tolist()


def rows_per_band(similarity: float) -> int:
    """The most rows, and so the fewest needless comparisons, with which at most `MISSED` is missed.

    Sketches of two texts of Jaccard similarity s agree in a row with probability s, and in none of
    b bands of r rows with probability (1 - s^r)^b.
    """
    return max(
        rows
        for rows in range(1, PERMUTATIONS + 1)
        if rows == 1 or (1 - similarity**rows) ** (PERMUTATIONS // rows) <= MISSED
    )


def _shingles(texts: Sequence[str], size: int) -> Ragged:
    """The hashed runs of `size` lower-case words of each text; all words of a shorter one."""
    known: dict[str, int] = {}
    find = re.compile(r"\w+").findall
    words = [
        [known.setdefault(word, len(known)) for word in find(text.lower()) or [text]]
        for text in texts
    ]
    lengths = np.array([len(own) for own in words])
    flat = _mixed(np.fromiter((word for own in words for word in own), np.uint64, lengths.sum()))
    counts = np.maximum(1, lengths - size + 1)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    ends = np.repeat(np.cumsum(lengths), counts)
    starts = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - np.cumsum(lengths) + lengths, counts)
    hashes = np.zeros(len(starts), np.uint64)
    for place, factor in enumerate(_odd(size, "shingle")):
        at = starts + place
        inside = at < ends
        hashes[inside] += factor * flat[at[inside]]
    return Ragged(_mixed(hashes), offsets)


def _sketches(shingles: Ragged) -> Hashes:
    """(texts, PERMUTATIONS): the smallest value of each permuted set of shingles."""
    factors, summands = _odd(PERMUTATIONS, "factor"), _odd(PERMUTATIONS, "summand")
    columns = [
        np.minimum.reduceat(shingles.values * factor + summand, shingles.offsets[:-1])
        for factor, summand in zip(factors, summands, strict=True)
    ]
    return _mixed(np.stack(columns, axis=1))


def _bands(sketches: Hashes, rows: int) -> tuple[Hashes, NDArray[np.bool_]]:
    """(texts, bands): the hash of each band, and whether another text has the same."""
    bands = PERMUTATIONS // rows
    parts = sketches[:, : bands * rows].reshape(len(sketches), bands, rows)
    # The number of the band goes in too, so that different bands never meet.
    keys = _mixed((parts * _odd(rows, "row")).sum(axis=2) + np.arange(bands, dtype=np.uint64))
    _, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return keys, (counts > 1)[place.reshape(keys.shape)]


def _jaccard(shingles: Ragged, one: int, other: int) -> float:
    first, second = (
        np.unique(shingles.values[shingles.offsets[row] : shingles.offsets[row + 1]])
        for row in (one, other)
    )
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / (len(first) + len(second) - common)


def _odd(count: int, purpose: str) -> Hashes:
    """Odd multipliers: modulo 2^64 they permute."""
    drawn = seeding.stream(0, "deduplication", purpose).integers(2**64, size=count, dtype=np.uint64)
    return drawn | np.uint64(1)


def _mixed(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit depends on every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
