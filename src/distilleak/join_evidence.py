"""Join evidence that several jobs computed, one row group at a time: memory stays constant.

Every shard is the evidence of some windows of records; in their order they give the bytes of the
file that one job would have written.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from distilleak import stage
from distilleak.errors import DistilleakError
from distilleak.evidence import schema
from distilleak.files import atomic, iterate_row_groups, open_parquet


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    join(arguments.shards, arguments.output)


def join(shards: Sequence[Path], output: Path) -> None:
    """Write the row groups of all `shards`, in their order, to `output`, atomically.

    Raises:
        DistilleakError: a shard is missing or damaged, or of another model, view, type of numbers
            or version of the libraries than the first.
    """
    first = open_parquet(shards[0]).schema_arrow
    # As it was before it was written: readers add the numbers of the columns in their file.
    form = schema(masked="position" in first.names, copies="copy" in first.names)
    described = form.with_metadata(first.metadata)
    with (
        atomic(output) as temporary,
        pq.ParquetWriter(
            temporary, described, compression="zstd", write_page_checksum=True
        ) as writer,
    ):
        for shard in shards:
            if not open_parquet(shard).schema_arrow.equals(first, check_metadata=True):
                raise DistilleakError(
                    f"{shard}: not of the model, view, dtype and versions of {shards[0]}; "
                    "delete both and run again"
                )
            for table in iterate_row_groups(shard):
                writer.write_table(table.cast(described))


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
    parser.add_argument(
        "--shards", type=Path, nargs="+", required=True, help="<view>.parquet of every shard"
    )
    parser.add_argument("--output", type=Path, required=True, help="<view>.parquet to write")
    return parser
