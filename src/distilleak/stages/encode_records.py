"""Cut every record to the context and encode it: records.parquet, text and tokens as scored.

Records that are copies of others once they are cut are left out. The file's metadata says under
`copies_removed` how many of each pool.
"""

import argparse
import json
import logging
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from distilleak.files import read_table, write_table
from distilleak.records import tokenizer as tokenization
from distilleak.records.copies import cut_members, cut_public, without_copies
from distilleak.records.encoding import encode
from distilleak.records.insertion import insert
from distilleak.records.texts import read_texts
from distilleak.settings.canaries import CanarySettings
from distilleak.settings.deduplication import DeduplicationSettings
from distilleak.stages import base

log = logging.getLogger(__name__)

PASSAGES = pa.schema({"passage_id": pa.string(), "text": pa.string()})
LABEL = pa.field("label", pa.string())
SPLIT = pa.schema(
    {
        "record_id": pa.string(),
        "pool": pa.string(),
        "teacher_member": pa.bool_(),
        "student_member": pa.bool_(),
        "source": pa.string(),
        "date": pa.string(),
    }
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    tokenizer = tokenization.load(arguments.tokenizer)
    columns = PASSAGES.append(LABEL) if arguments.labelled else PASSAGES
    passages = read_table(arguments.passages, columns)
    texts = dict(zip(passages["passage_id"].to_pylist(), passages["text"].to_pylist(), strict=True))
    split = read_table(arguments.split, SPLIT)
    table = encode(split, texts, tokenizer, arguments.context, arguments.passages)
    known = cut_members(passages, tokenizer, arguments.context) if arguments.labelled else {}
    public = [text for file in arguments.apart for text in read_texts(file)]
    known |= cut_public(public, tokenizer, arguments.context)
    table, removed = without_copies(table, known, arguments.deduplication, public)
    for pool, count in removed.items():
        log.warning("%d of the pool %s are copies of others once cut: left out", count, pool)
    tokens = pc.sum(pc.list_value_length(table["token_ids"])).as_py()
    log.info("%d records, %.1f tokens on average", len(table), tokens / len(table))
    if arguments.canaries is not None:
        hidden = insert(
            arguments.canaries, arguments.seed, tokenizer, arguments.context, table.schema
        )
        table = pa.concat_tables([table, hidden]).sort_by("record_id")
    write_table(table, arguments.output, {"copies_removed": json.dumps(removed, sort_keys=True)})


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--passages", required=True, help="passages.parquet")
    parser.add_argument("--split", required=True, help="split.parquet")
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument("--context", type=int, required=True, help="longest record, in tokens")
    parser.add_argument(
        "--deduplication",
        type=base.settings_argument(DeduplicationSettings),
        default=DeduplicationSettings(),
        help="JSON: deduplication settings",
    )
    parser.add_argument(
        "--labelled",
        action="store_true",
        help="the corpus labels what a model has been trained on before: no copy of it is left "
        "among the other pools",
    )
    parser.add_argument(
        "--apart",
        nargs="*",
        default=[],
        metavar="FILE",
        help="passages.parquet of public texts; records that are copies of one, once both are cut, "
        "are left out",
    )
    parser.add_argument(
        "--canaries",
        type=base.settings_argument(CanarySettings),
        help="JSON: secrets to hide among the records that are trained on; needs --seed",
    )
    parser.add_argument("--seed", type=int, help="seed of the study, from which canaries are drawn")
    parser.add_argument("--output", required=True, help="records.parquet to write")
    return parser
