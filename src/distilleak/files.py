"""Reading and writing files: atomic writes, and a one-line error for a damaged file."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distilleak.errors import DistilleakError

_UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises for damaged files, in which even column names may not be valid text."""


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    Works for files and for directories (the block must create the directory at the yielded path).
    If the block fails or is interrupted, `path` is not written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if temporary.is_dir() and target.is_dir():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def write_table(table: pa.Table, path: str | Path, metadata: dict[str, str] | None = None) -> None:
    """Write an Arrow table as Parquet, atomically; `metadata` goes into the file's schema."""
    if metadata is not None:
        table = table.replace_schema_metadata(metadata)
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn what pyarrow raises in the block into one clear line.

    Raises:
        DistilleakError: the file is damaged.
    """
    try:
        yield
    except _UNREADABLE as error:
        raise _damaged(path, "Parquet", error) from error


def open_parquet(path: str | Path, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file for reading; `options` are those of `pq.ParquetFile`.

    Raises:
        DistilleakError: the file is missing or damaged.
    """
    if not Path(path).is_file():
        raise DistilleakError(f"{path}: no such file")
    with reading(path):
        return pq.ParquetFile(path, page_checksum_verification=True, **options)


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, or the named `columns` of it.

    Raises:
        DistilleakError: the file is missing or damaged, or lacks a column.
    """
    return _read(open_parquet(path), path, columns, None)


def read_range(path: str | Path, columns: Sequence[str], key: str, low: str, high: str) -> pa.Table:
    """Read the row groups of a Parquet file that may hold a `key` from `low` to `high`.

    If the file is sorted by `key`, that is little more than the wanted rows. Row groups are
    selected by the statistics that the writer stored; a row group without statistics is read.

    Raises:
        DistilleakError: as `read_table`.
    """
    file = open_parquet(path)
    groups = [
        group
        for group in range(file.num_row_groups)
        if _overlaps(file.metadata.row_group(group), key, low, high)
    ]
    return _read(file, path, columns, groups)


def _overlaps(group: pq.RowGroupMetaData, key: str, low: str, high: str) -> bool:
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == key:
            known = column.statistics
            if known is None or not known.has_min_max:
                return True
            return bool(known.min <= high and low <= known.max)
    return True


def _read(
    file: pq.ParquetFile,
    path: str | Path,
    columns: Sequence[str] | None,
    groups: Sequence[int] | None,
) -> pa.Table:
    missing = [name for name in columns or () if name not in file.schema_arrow.names]
    if missing:
        present = ", ".join(file.schema_arrow.names)
        raise DistilleakError(f"{path}: no column {missing[0]!r}; the columns are {present}")
    wanted = None if columns is None else list(columns)
    with reading(path):
        if groups is None:
            return file.read(columns=wanted)
        return file.read_row_groups(list(groups), columns=wanted)


def write_json(value: Any, path: str | Path) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", path)


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        DistilleakError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DistilleakError(f"{path}: no such file") from error
    except ValueError as error:
        raise _damaged(path, "JSON", error) from error


def write_text(text: str, path: str | Path) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _damaged(path: str | Path, kind: str, error: Exception) -> DistilleakError:
    reason = str(error).splitlines()[0].rstrip(".")
    return DistilleakError(
        f"{path}: damaged {kind} file ({reason}); delete it and run again to recreate it"
    )
