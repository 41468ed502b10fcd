"""Copies among records: passages that differ only behind the cut, or where a model cannot see it.

A passage is trained on and scored as it is cut to the context. Two passages that begin alike, such
as two letters with one letterhead, are then the same record twice; with one of them among the
members, the other is no non-member.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from distilleak.corpora.base import MEMBER
from distilleak.errors import DistilleakError
from distilleak.records import tokenizer as tokenization
from distilleak.records.deduplication import distinct_first, quoted
from distilleak.settings.deduplication import DeduplicationSettings


def without_copies(
    records: pa.Table,
    known: Mapping[str, tuple[str, list[int]]],
    settings: DeduplicationSettings,
    public: Sequence[str] = (),
) -> tuple[pa.Table, Counter[str]]:
    """The records that are no copy, exact or near, of another one, and how many of each pool were.

    Of copies the first in the table is kept, whatever its pool. Were it the member, a text would
    be the likelier to be a member the more often the corpus repeats it, and pools could be told
    apart without any model. Only what `known` says a model has been trained on before the study is
    kept in any case.

    Args:
        records: a row per record, with its text and tokens as scored.
        known: record or passage id -> text and tokens, as scored, of all that a model is known to
            have been trained on, drawn as a record or not: labelled members, and the texts of base
            models. Empty if there are neither.
        settings: when two texts count as copies.
        public: whole texts of base models; what stands anywhere in them is left out, too.

    Raises:
        DistilleakError: all records of a pool are copies of others.
    """
    ids = records["record_id"].to_pylist()
    texts = records["text"].to_pylist()
    tokens = records["token_ids"].to_pylist()
    drawn = set(ids)
    other = [record for record in known if record not in drawn]
    texts += [known[record][0] for record in other]
    tokens += [known[record][1] for record in other]
    # A tokenizer may encode different texts alike: a model cannot distinguish them.
    same: dict[tuple[int, ...], str] = {}
    seen = [same.setdefault(tuple(own), text) for own, text in zip(tokens, texts, strict=True)]
    first = [record in known for record in ids + other]
    chosen = np.zeros(len(ids), bool)
    chosen[[row for row in distinct_first(seen, first, settings) if row < len(ids)]] = True
    chosen[quoted(texts[: len(ids)], public, settings)] = False
    kept = records.filter(pa.array(chosen))
    removed = Counter(records.filter(pa.array(~chosen))["pool"].to_pylist())
    left = set(pc.unique(kept["pool"]).to_pylist())
    empty = next((pool for pool in removed if pool not in left), None)
    if empty is not None:
        raise DistilleakError(
            f"pools.{empty}: all {removed[empty]} records are copies of others once they are cut "
            "to encoding.context; more tokens, or a corpus whose texts begin differently, is needed"
        )
    return kept, removed


def cut_members(
    passages: pa.Table, tokenizer: Tokenizer, context: int
) -> dict[str, tuple[str, list[int]]]:
    """All passages that are labelled as members, as they would be scored, by their ids."""
    labelled = passages.filter(pc.equal(passages["label"], MEMBER))
    pairs = zip(labelled["passage_id"].to_pylist(), labelled["text"].to_pylist(), strict=True)
    return {record: tokenization.cut(tokenizer, text, context) for record, text in pairs}


def cut_public(
    texts: Iterable[str], tokenizer: Tokenizer, context: int
) -> dict[str, tuple[str, list[int]]]:
    """All public texts as they would be scored, by ids that no record of the study has."""
    cuts = [tokenization.cut(tokenizer, text, context) for text in texts]
    return {f"public {row}": cut for row, cut in enumerate(cuts) if cut[1]}
