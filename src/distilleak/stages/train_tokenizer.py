"""Train a tokenizer: a directory that `AutoTokenizer` reads.

That of a study learns from the auxiliary pool only, that of base models from all their texts.
"""

import argparse
import logging
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from distilleak.files import read_table
from distilleak.records import tokenizer as tokenization
from distilleak.settings.tokenizer import TokenizerSettings
from distilleak.stages import base

log = logging.getLogger(__name__)

PASSAGES = pa.schema({"passage_id": pa.string(), "text": pa.string()})
SPLIT = pa.schema({"record_id": pa.string(), "pool": pa.string()})


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    passages = read_table(arguments.passages, PASSAGES)
    if arguments.split is not None:
        split = read_table(arguments.split, SPLIT)
        auxiliary = split.filter(pc.equal(split["pool"], "auxiliary"))["record_id"]
        passages = passages.filter(pc.is_in(passages["passage_id"], auxiliary.combine_chunks()))
    texts = passages["text"]
    tokenizer = tokenization.train(
        texts.to_pylist(), arguments.settings.vocabulary, arguments.masked
    )
    tokenization.save(tokenizer, arguments.output, arguments.context)
    log.info("%d tokens from %d passages", tokenizer.get_vocab_size(), len(texts))


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--passages", required=True, help="passages.parquet")
    parser.add_argument(
        "--split", help="split.parquet: learn from its auxiliary pool (default: from all passages)"
    )
    parser.add_argument(
        "--settings",
        type=base.settings_argument(TokenizerSettings),
        required=True,
        help="JSON: tokenizer settings",
    )
    parser.add_argument("--context", type=int, required=True, help="longest record, in tokens")
    parser.add_argument(
        "--masked", action="store_true", help="add the token that hides others, for masked models"
    )
    parser.add_argument("--output", required=True, help="tokenizer directory to write")
    return parser
