"""Compute a model's evidence on the evaluated records, all views in one job.

Given several models and `--mixture NAME=0,1,...`, it writes the evidence of each mixture of them
instead: the average of their next-token distributions, every model asked once.
"""

import argparse
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import PreTrainedModel

from distilleak import models, probing, seeding, stage, tokenization
from distilleak.batches import Tokens
from distilleak.errors import DistilleakError
from distilleak.evidence import SCHEMA
from distilleak.files import atomic
from distilleak.records import EVALUATED, Records, read_records
from distilleak.settings.evidence import EvidenceSettings

log = logging.getLogger(__name__)

VIEWS = ("plain", "lower", "prefix_nonmember")
WINDOW = 2048
"""Records held in memory at a time."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    mixtures = _mixtures(arguments)
    device = models.prepare(arguments.threads)
    asked = [models.load(path, device) for path in arguments.model]
    tokenizer = tokenization.load(arguments.model[0])
    records = read_records(arguments.records, EVALUATED)
    for view in arguments.views:
        outputs = {
            name: Path(arguments.output, name, "evidence", f"{view}.parquet")
            if arguments.mixture
            else Path(arguments.output, f"{view}.parquet")
            for name in mixtures
        }
        _write_view(view, asked, mixtures, outputs, tokenizer, records, arguments)
        log.info("%s: %d records", view, len(records.record_id))


def _write_view(
    view: str,
    asked: Sequence[PreTrainedModel],
    mixtures: dict[str, Sequence[int]],
    outputs: dict[str, Path],
    tokenizer: Tokenizer,
    records: Records,
    arguments: argparse.Namespace,
) -> None:
    start = tokenization.start_token(tokenizer)
    prefix = None
    if view == "prefix_nonmember":
        chosen = _prefix(arguments.records, arguments.settings.prefix_tokens, arguments.seed)
        prefix = probing.read_prefix(asked, start, chosen)
    with ExitStack() as files:
        writers = {}
        for name, path in outputs.items():
            metadata = {
                "model": ",".join(str(arguments.model[position]) for position in mixtures[name]),
                "view": view,
                "dtype": str(asked[0].dtype).removeprefix("torch."),
            }
            temporary = files.enter_context(atomic(path))
            writers[name] = files.enter_context(
                pq.ParquetWriter(
                    temporary,
                    SCHEMA.with_metadata(metadata),
                    compression="zstd",
                    write_page_checksum=True,
                )
            )
        for window in tqdm(
            list(probing.windows(len(records.record_id), WINDOW)), desc=view, disable=None
        ):
            found = probing.probe(
                asked,
                mixtures,
                _tokens(view, tokenizer, records, window, asked[0].config.max_position_embeddings),
                start=start,
                prefix=prefix,
                batch_tokens=arguments.settings.batch_tokens,
            )
            for name, rows in found.items():
                columns = {
                    field.name: [row[field.name] for row in rows] for field in list(SCHEMA)[1:]
                }
                ids = [records.record_id[position] for position in window]
                writers[name].write_table(pa.table({"record_id": ids, **columns}, schema=SCHEMA))


def _tokens(
    view: str, tokenizer: Tokenizer, records: Records, window: range, positions: int
) -> list[Tokens]:
    if view != "lower":
        return [records.tokens[position] for position in window]
    lowered = [records.text[position].lower() for position in window]
    # Lower case may need more tokens than the context holds; the model has positions to spare.
    return [
        np.array(tokenization.cut(tokenizer, text, positions - 1)[1], dtype=np.int32)
        for text in lowered
    ]


def _prefix(path: str, length: int, seed: int) -> list[int]:
    """`length` tokens of auxiliary records, drawn at random and put one after the other."""
    auxiliary = read_records(path, ["auxiliary"])
    order = seeding.stream(seed, "prefix").permutation(len(auxiliary.tokens))
    drawn: list[int] = []
    for row in order:
        drawn.extend(auxiliary.tokens[row].tolist())
        if len(drawn) >= length:
            return drawn[:length]
    raise DistilleakError(
        f"evidence.prefix_tokens: the auxiliary pool holds {len(drawn)} tokens, not {length}"
    )


def _mixtures(arguments: argparse.Namespace) -> dict[str, Sequence[int]]:
    """Name of each mixture -> positions of its models; one model alone is a mixture of one."""
    count = len(arguments.model)
    if not arguments.mixture and count > 1:
        raise DistilleakError(f"{count} models but no --mixture NAME=0,1,...; give one of either")
    mixtures = dict(arguments.mixture or [("", [0])])
    for name, positions in mixtures.items():
        if not set(positions) <= set(range(count)):
            raise DistilleakError(f"--mixture {name}: {positions} must lie in 0 ... {count - 1}")
    return mixtures


def _mixture(text: str) -> tuple[str, list[int]]:
    name, _, positions = text.partition("=")
    try:
        return name, [int(position) for position in positions.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=0,1,...") from error


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__doc__)
    parser.add_argument("--model", nargs="+", required=True, help="model directories")
    parser.add_argument(
        "--mixture",
        type=_mixture,
        action="append",
        help="NAME=0,1,...: a mixture of the models at these positions; may be repeated",
    )
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument(
        "--views", nargs="+", choices=VIEWS, default=["plain"], help="views to compute"
    )
    parser.add_argument(
        "--settings",
        type=stage.settings_argument(EvidenceSettings),
        default=EvidenceSettings(),
        help="JSON: evidence settings",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the study")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument(
        "--output",
        required=True,
        help="directory for <view>.parquet; with mixtures, for <mixture>/evidence/<view>.parquet",
    )
    return parser


if __name__ == "__main__":
    stage.run(main)
