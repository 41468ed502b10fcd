"""Cut every record to the context and encode it: records.parquet, text and tokens as scored."""

import argparse
import logging
from collections.abc import Sequence

import pyarrow as pa

from distilleak import stage, tokenization
from distilleak.errors import DistilleakError
from distilleak.files import read_table, write_table

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
    table = split.append_column("text", pa.array([text for text, _ in cuts])).append_column(
        "token_ids", pa.array([tokens for _, tokens in cuts], pa.list_(pa.int32()))
    )
    write_table(table, arguments.output)
    lengths = [len(tokens) for _, tokens in cuts]
    log.info("%d records, %.1f tokens on average", len(cuts), sum(lengths) / len(lengths))


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
    parser.add_argument("--passages", required=True, help="passages.parquet")
    parser.add_argument("--split", required=True, help="split.parquet")
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument("--context", type=int, required=True, help="longest record, in tokens")
    parser.add_argument("--output", required=True, help="records.parquet to write")
    return parser
