"""Streaming a Parquet file: no more than some of its rows are held in memory."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from distilleak.files import check_columns, check_rows, check_values, open_parquet, reading


def stream(path: str | Path, columns: pa.Schema, rows: int | None = None) -> Iterator[pa.Table]:
    """The `columns` of a Parquet file, `rows` rows at a time; without `rows`, its row groups.

    Raises:
        DistilleakError: the file is missing or damaged, or its columns are not those wanted.
    """
    # By default all pages of a row group are read at once, and one may hold a million records.
    file = open_parquet(path, buffer_size=2**20, pre_buffer=False)
    check_columns(file.schema_arrow, columns, path)
    count = 0
    with reading(path):
        for table in _tables(file, columns.names, rows):
            check_values(table, columns, path)
            count += len(table)
            yield table
        check_rows(count, file.metadata.num_rows)


def _tables(file: pq.ParquetFile, columns: list[str], rows: int | None) -> Iterator[pa.Table]:
    if rows is not None:
        yield from map(pa.table, file.iter_batches(rows, columns=columns))
        return
    for group in range(file.num_row_groups):
        yield file.read_row_group(group, columns=columns)
