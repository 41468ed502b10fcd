"""What a model is shown in each view: which records, behind which prefix, as which tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from distilleak import seeding
from distilleak.errors import DistilleakError
from distilleak.evidence.neighbours import Bigrams, neighbours
from distilleak.records import tokenizer as tokenization
from distilleak.records import window
from distilleak.records.pools import EVIDENCE_POOLS, UTILITY_POOLS
from distilleak.records.table import Records, extent, iterate_records, read_records
from distilleak.settings.evidence import PREFIXES, EvidenceSettings

VIEWS = {
    "plain": EVIDENCE_POOLS,
    "lower": EVIDENCE_POOLS,
    "prefix_nonmember": EVIDENCE_POOLS,
    "prefix_member": EVIDENCE_POOLS,
    "neighbour": EVIDENCE_POOLS,
    "population": ("population",),
    "candidates": ("candidate",),
    "tempered": ("holdout",),
}
"""View -> the pools of the records that it shows. `tempered` shows them as `plain` does, and other
numbers are kept of what the model answers."""

SMOOTHING = 1.0
"""Tokens of the unigram distribution in the bigrams that propose neighbours."""


@dataclass(frozen=True)
class Shown:
    """The texts of some records in one view, one after the other.

    Attributes:
        record_id: (texts,).
        copy: (texts,) number of the text of its record, in a view with several; else None.
        tokens: (texts,) arrays of token ids.
    """

    record_id: Sequence[str]
    copy: NDArray[np.int32] | None
    tokens: Sequence[NDArray[np.int32]]


class Presenter:
    """Presents the records of a file in one view."""

    def __init__(self, name: str, records: str, settings: EvidenceSettings, seed: int) -> None:
        self.name = name
        self.records = records
        self.pools = VIEWS[name]
        self.settings = settings
        self.seed = seed
        self.prefix: list[int] = []
        if name in PREFIXES:
            self.prefix = prefix(records, PREFIXES[name], settings.prefix_tokens, seed)
        self.bigrams: Bigrams | None = None
        if name == "neighbour":
            self.bigrams = Bigrams(read_records(records, ["auxiliary"]).tokens, SMOOTHING)

    def shown(self, records: Records, tokenizer: Tokenizer, longest: int) -> Shown:
        """What the model reads of these records, of at most `longest` tokens each.

        Lower case may need more tokens than the context holds; the model has positions to spare.
        """
        if self.bigrams is not None:
            copies = [
                copy
                for record, tokens in zip(records.record_id, records.tokens, strict=True)
                for copy in neighbours(tokens, record, self.bigrams, self.settings, self.seed)
            ]
            number = np.tile(np.arange(self.settings.neighbours), len(records.record_id))
            ids = np.repeat(np.array(records.record_id, dtype=object), self.settings.neighbours)
            return Shown(ids.tolist(), number.astype(np.int32), copies)
        if self.name == "lower":
            lower = [tokenization.cut(tokenizer, text.lower(), longest)[1] for text in records.text]
            return Shown(
                records.record_id, None, [np.array(tokens, dtype=np.int32) for tokens in lower]
            )
        return Shown(records.record_id, None, records.tokens)


def extents(
    records: str, views: Sequence[str], settings: EvidenceSettings
) -> dict[str, tuple[int, int]]:
    """View -> (number of records, tokens of the longest with its prefix).

    Raises:
        DistilleakError: the file is damaged, or a view's pool has no record in it. Only a hold-out
            may be absent beside other pools, as where finished models are audited.
    """
    found = {
        pools: extent(records, pools, UTILITY_POOLS if {*pools} > {*UTILITY_POOLS} else ())
        for pools in {VIEWS[view] for view in views}
    }
    return {
        view: (
            found[VIEWS[view]][0],
            found[VIEWS[view]][1] + (settings.prefix_tokens if view in PREFIXES else 0),
        )
        for view in views
    }


def prefix(path: str, pool: str, length: int, seed: int) -> list[int]:
    """`length` tokens of records of a pool, drawn at random and put one after the other.

    Raises:
        DistilleakError: the file is damaged, or the pool holds fewer tokens.
    """
    count, _ = extent(path, [pool])
    # A record holds at least one token.
    order = seeding.stream(seed, "prefix").permutation(count)[:length].tolist()
    wanted = set(order)
    drawn: dict[int, list[int]] = {}
    for number, records in enumerate(iterate_records(path, [pool], window.SIZE)):
        for row, tokens in enumerate(records.tokens, start=number * window.SIZE):
            if row in wanted:
                drawn[row] = tokens.tolist()
    found = [token for row in order for token in drawn[row]]
    if len(found) < length:
        raise DistilleakError(
            f"evidence.prefix_tokens: {length}, but the pool {pool} holds {len(found)} tokens"
        )
    return found[:length]
