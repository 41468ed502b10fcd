"""Putting parts of evidence together that several jobs computed."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from distilleak.errors import DistilleakError
from distilleak.evidence import tempered
from distilleak.evidence.table import schema
from distilleak.files import atomic, check_columns, open_parquet
from distilleak.records.streaming import stream


def join(shards: Sequence[Path], output: Path) -> None:
    """Write the row groups of all `shards`, in their order, to `output`, atomically.

    Raises:
        DistilleakError: a shard is missing or damaged, or of another model, view, type of numbers
            or version of the libraries than the first.
    """
    first = open_parquet(shards[0]).schema_arrow
    # As it was before it was written: readers add the numbers of the columns in their file.
    masked = "position" in first.names
    form = schema(masked=masked, copies="copy" in first.names)
    if tempered.COLUMNS[0] in first.names:
        form = tempered.schema(masked=masked)
    check_columns(first, form, shards[0])
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
            for table in stream(shard, form):
                writer.write_table(table.cast(described))
