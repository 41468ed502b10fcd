"""Reading the user's files row by row, never all at once."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from distilleak.corpora import _columns
from distilleak.corpora._columns import ColumnSettings, Row, columns_of
from distilleak.corpora._paths import COMPRESSIONS, suffix
from distilleak.errors import DistilleakError

BATCH = 1024
"""Rows of a Parquet file in memory at a time."""

_LONE_RETURN = "a line ends in a carriage return alone; save the file with line feeds"
_POINTER = b"version https://git-lfs.github.com/"


def rows(path: Path, settings: ColumnSettings) -> Iterator[tuple[str, Row]]:
    """The rows of a file with columns, each with its place in the file, for errors.

    Raises:
        DistilleakError: the file is missing, unreadable or damaged, or lacks a column.
    """
    return _READERS[suffix(str(path))](_present(path), settings)


def paragraphs(path: Path) -> Iterator[str]:
    """The paragraphs of a text file, which blank lines separate, each joined into one line.

    Raises:
        DistilleakError: the file is missing, unreadable or not UTF-8.
    """
    yield from _columns.paragraphs(_lines(_present(path)))


def _present(path: Path) -> Path:
    try:
        # To open a named pipe would wait for its writer for ever.
        if not path.is_file():
            raise DistilleakError(f"corpus.path: {path}: no such file")
        with path.open("rb") as file:
            beginning = file.read(len(_POINTER))
    except OSError as error:
        raise DistilleakError(f"{path}: cannot be read ({error.strerror})") from error
    if beginning == _POINTER:
        raise DistilleakError(
            f"{path}: only a pointer of git-lfs, not the file itself; fetch it with `git lfs pull`"
        )
    if not beginning and path.suffix.lower() in COMPRESSIONS:
        raise DistilleakError(f"{path}: damaged {path.suffix.lower()} file (it has no bytes)")
    return path


def _lines(path: Path) -> Iterator[str]:
    compression = COMPRESSIONS.get(path.suffix.lower())
    number = 0
    try:
        with path.open("rb") as file:
            lines = file if compression is None else _decompressed(file, compression)
            for line in lines:
                number += 1
                # Some editors start a file with a byte order mark, which is not part of the text.
                # A file that was put together has such marks inside.
                text = line.decode("utf-8-sig")
                if "\x00" in text:
                    raise DistilleakError(
                        f"{path}:{number}: holds a character of value 0, as texts in UTF-16 do; "
                        "save the file as UTF-8"
                    )
                yield text
    except UnicodeDecodeError as error:
        raise DistilleakError(f"{path}:{number}: not UTF-8 ({error.reason})") from error
    except OSError as error:
        if compression is not None and error.errno is None:
            raise DistilleakError(
                f"{path}: damaged {path.suffix.lower()} file ({_first_line(error)})"
            ) from error
        raise DistilleakError(f"{path}: cannot be read ({error.strerror})") from error


def _decompressed(file: io.BufferedReader, compression: str) -> io.BufferedReader:
    # Several compressed files in a row count as one, as for the programs that made them.
    return io.BufferedReader(pa.CompressedInputStream(file, compression))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _jsonl(path: Path, settings: ColumnSettings) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            wanted = "every line must be an object with a text"
            problem = _LONE_RETURN if "\r" in line.rstrip("\r\n") else wanted
            raise DistilleakError(f"{place}: not JSON; {problem}") from error
        if not isinstance(value, dict):
            raise DistilleakError(f"{place}: not a JSON object with a text; every line must be one")
        yield place, value


def _csv(path: Path, settings: ColumnSettings) -> Iterator[tuple[str, Row]]:
    # The default limit of 128 KiB per field is meant for untrusted input.
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(_lines(path), strict=True)
    header: list[str] = []
    start = 1
    try:
        for fields in reader:
            place, start = f"{path}:{start}", reader.line_num + 1
            if not fields:
                continue
            if not header:
                header = fields
                columns_of(settings, header, place)
                continue
            if len(fields) != len(header):
                raise DistilleakError(
                    f"{place}: {len(fields)} fields, but the header names {len(header)} columns"
                )
            yield place, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        reason = str(error)
        if "new-line character" in reason:
            reason = _LONE_RETURN
        raise DistilleakError(f"{path}:{start}: not CSV ({reason})") from error


def _parquet(path: Path, settings: ColumnSettings) -> Iterator[tuple[str, Row]]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            columns = columns_of(settings, file.schema_arrow.names, str(path))
            number = 0
            for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise DistilleakError(f"{path}: damaged Parquet file ({_first_line(error)})") from error


_READERS: dict[str, Callable[[Path, ColumnSettings], Iterator[tuple[str, Row]]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}
TEXT = ".txt"
SUFFIXES = (*_READERS, TEXT)
