"""Cut every record to the context and encode it: records.parquet, text and tokens as scored."""

import argparse
import logging
from collections.abc import Sequence

import pyarrow as pa
from tokenizers import Tokenizer

from distilleak import canaries, stage, tokenization
from distilleak.errors import DistilleakError
from distilleak.files import read_table, write_table
from distilleak.settings.canaries import CanarySettings

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    tokenizer = tokenization.load(arguments.tokenizer)
    passages = read_table(arguments.passages, ["passage_id", "text"])
    texts = dict(zip(passages["passage_id"].to_pylist(), passages["text"].to_pylist(), strict=True))
    split = read_table(arguments.split)
    records = split["record_id"].to_pylist()
    unknown = next((record for record in records if record not in texts), None)
    if unknown is not None:
        raise DistilleakError(
            f"{arguments.passages}: no passage {unknown!r}, which the split draws"
        )
    cuts = [tokenization.cut(tokenizer, texts[record], arguments.context) for record in records]
    empty = next((r for r, (_, tokens) in zip(records, cuts, strict=True) if not tokens), None)
    if empty is not None:
        raise DistilleakError(
            f"{arguments.passages}: record {empty!r} has no token; the tokenizer drops all of its "
            "characters, and such a passage must be left out of the corpus"
        )
    table = split.append_column("text", pa.array([text for text, _ in cuts])).append_column(
        "token_ids", pa.array([tokens for _, tokens in cuts], pa.list_(pa.int32()))
    )
    if arguments.canaries is not None:
        hidden = _canaries(arguments, tokenizer, table.schema)
        table = pa.concat_tables([table, hidden]).sort_by("record_id")
    write_table(table, arguments.output)
    lengths = [len(tokens) for _, tokens in cuts]
    log.info("%d records, %.1f tokens on average", len(cuts), sum(lengths) / len(lengths))


def _canaries(arguments: argparse.Namespace, tokenizer: Tokenizer, schema: pa.Schema) -> pa.Table:
    """The copies that are trained on, and the candidates, which are only asked for.

    Raises:
        DistilleakError: a canary is longer than the context.
    """
    rows: list[dict[str, object]] = []
    longest = 0
    for candidate in canaries.candidates(arguments.canaries, arguments.seed):
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
    if longest > arguments.context:
        raise DistilleakError(
            f"encoding.context: {arguments.context}, but the longest canary has {longest} tokens"
        )
    return pa.Table.from_pylist(rows, schema)


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
    parser.add_argument("--passages", required=True, help="passages.parquet")
    parser.add_argument("--split", required=True, help="split.parquet")
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument("--context", type=int, required=True, help="longest record, in tokens")
    parser.add_argument(
        "--canaries",
        type=stage.settings_argument(CanarySettings),
        help="JSON: secrets to hide among the records that are trained on; needs --seed",
    )
    parser.add_argument("--seed", type=int, help="seed of the study, from which canaries are drawn")
    parser.add_argument("--output", required=True, help="records.parquet to write")
    return parser
