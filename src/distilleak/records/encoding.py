"""Cutting records to the context and encoding them."""

from collections.abc import Mapping

import pyarrow as pa
from tokenizers import Tokenizer

from distilleak.errors import DistilleakError
from distilleak.records import tokenizer as tokenization


def encode(
    split: pa.Table, texts: Mapping[str, str], tokenizer: Tokenizer, context: int, passages: str
) -> pa.Table:
    """`split` with the text of every record as it is scored, and its tokens.

    Args:
        split: a row per record.
        texts: id of a passage -> its text.
        tokenizer: cuts and encodes.
        context: most tokens of a record.
        passages: the file that holds the texts, for messages.

    Raises:
        DistilleakError: a record has no passage, or its passage no token.
    """
    records = split["record_id"].to_pylist()
    unknown = next((record for record in records if record not in texts), None)
    if unknown is not None:
        raise DistilleakError(f"{passages}: no passage {unknown!r}, which the split draws")
    cuts = [tokenization.cut(tokenizer, texts[record], context) for record in records]
    empty = next((r for r, (_, tokens) in zip(records, cuts, strict=True) if not tokens), None)
    if empty is not None:
        raise DistilleakError(
            f"{passages}: record {empty!r} has no token; the tokenizer drops all of its "
            "characters, and such a passage must be left out of the corpus"
        )
    tokens = pa.array([tokens for _, tokens in cuts], pa.list_(pa.int32()))
    table = split.append_column("text", pa.array([text for text, _ in cuts]))
    return table.append_column("token_ids", tokens)
