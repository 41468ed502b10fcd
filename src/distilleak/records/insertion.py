"""Canaries as records: the copies that are trained on, and the candidates."""

import pyarrow as pa
from tokenizers import Tokenizer

from distilleak.errors import DistilleakError
from distilleak.records import canaries
from distilleak.settings.canaries import CanarySettings


def insert(
    settings: CanarySettings, seed: int, tokenizer: Tokenizer, context: int, schema: pa.Schema
) -> pa.Table:
    """The copies that are trained on, and the candidates, on which models are only queried.

    Args:
        settings: how many canaries.
        seed: of the study.
        tokenizer: encodes them.
        context: most tokens of a record.
        schema: of the records.

    Raises:
        DistilleakError: a canary is longer than the context.
    """
    rows: list[dict[str, object]] = []
    longest = 0
    for candidate in canaries.candidates(settings, seed):
        tokens = tokenizer.encode(candidate.text, add_special_tokens=False).ids
        longest = max(longest, len(tokens))
        shared = {"source": "", "date": "", "text": candidate.text, "token_ids": tokens}
        for record_id, pool in (
            *((copy, "canary") for copy in candidate.copies()),
            (candidate.record_id, "candidate"),
        ):
            trained = pool == "canary"
            member = {"teacher_member": trained, "student_member": trained}
            rows.append({"record_id": record_id, "pool": pool, **member, **shared})
    # A canary that is cut would lose its secret, which stands at its end.
    if longest > context:
        raise DistilleakError(
            f"encoding.context: {context}, but the longest canary has {longest} tokens"
        )
    return pa.Table.from_pylist(rows, schema)
