"""Streaming a Parquet file: no more than some of its rows are held in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from distilleak.files import open_parquet, reading


def stream(
    path: str | Path, columns: Sequence[str] | None = None, rows: int | None = None
) -> Iterator[pa.Table]:
    """The `columns` of a Parquet file, `rows` rows at a time; without `rows`, its row groups.

    Raises:
        DistilleakError: the file is missing or damaged.
    """
    # By default all pages of a row group are read at once, and one may hold a million records.
    file = open_parquet(path, buffer_size=2**20, pre_buffer=False)
    chosen = None if columns is None else list(columns)
    with reading(path):
        if rows is not None:
            yield from map(pa.table, file.iter_batches(rows, columns=chosen))
            return
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=chosen)
