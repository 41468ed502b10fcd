"""Reading and writing files: atomic writes, and a one-line error for a damaged file."""

import errno
import fcntl
import glob
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from distilleak.errors import DistilleakError, refusal

Columns: TypeAlias = Sequence[str] | pa.Schema
"""Columns that a reader wants: by name alone, or with the types that it works with."""
Kinds = type | tuple[type, ...]
NUMBER: Kinds = (int, float)
_IDS = ("record_id", "passage_id")
_UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises for damaged files, in which even column names may not be valid text."""
_LOCK = ".lock"
"""A file in a scratch directory, locked as long as the process lives that writes there."""
_IDLE = 3600
"""Seconds without a write after which another machine, whose lock may not show here, is dead."""


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    Works for files and for directories (the block must create the directory at the yielded path).
    If the block fails or is interrupted, `path` is not written. What is written gets the
    permissions that the umask gives, whatever library wrote it.

    Raises:
        DistilleakError: the machine refuses to write it: a full disk, a quota, missing rights.
    """
    target = Path(path)
    try:
        with scratch(target) as place:
            temporary = place / target.name
            yield temporary
            _share(temporary, place)
            if temporary.is_dir() and target.is_dir():
                shutil.rmtree(target)
            os.replace(temporary, target)
    except Exception as error:
        reason = refusal(error)
        if reason is None or _elsewhere(error, target):
            raise
        above = [path for path in target.parents if str(path) == getattr(error, "filename", None)]
        where = f" ({above[0]})" if above else ""
        raise DistilleakError(f"{target}: cannot be written: {reason}{where}") from error


@contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """A directory of this process beside `target`, gone after the block.

    Those of processes that were killed are removed first: each holds a lock on a file in its
    directory, which ends with it. Processes in two containers may have one id, so the name is
    random.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{glob.escape(target.name)}.{'[0-9a-f]' * 16}.tmp"):
        if _is_dead(left):
            shutil.rmtree(left, ignore_errors=True)
    place = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    place.mkdir()
    try:
        with (place / _LOCK).open("w") as lock:
            with suppress(OSError):  # a file system without locks: then nobody removes it
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.write(machine())
            lock.flush()
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def machine() -> str:
    """The running system; it is the same in all its containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return os.uname().nodename


def _is_dead(place: Path) -> bool:
    """Whether the process is known to have ended that made this scratch directory."""
    written = ""
    try:
        with (place / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            written = lock.read()
    except FileNotFoundError:
        pass  # it has only begun, or was killed right then
    except OSError:
        return False
    if written == machine():
        return True
    try:
        latest = max(path.stat().st_mtime for path in (place, *place.rglob("*")))
    except OSError:
        return False
    return time.time() - latest > _IDLE


def _share(written: Path, place: Path) -> None:
    """Give what was written the permissions of what this process creates itself, in `place`."""
    wanted = {
        inside: stat.S_IMODE(path.stat().st_mode)
        for inside, path in ((True, place), (False, place / _LOCK))
    }
    for path in (written, *written.rglob("*")):
        mode = wanted[path.is_dir()]
        if stat.S_IMODE(path.stat().st_mode) != mode:
            path.chmod(mode)


def _elsewhere(error: Exception, target: Path) -> bool:
    """Whether the error is not about `target` but about what is read or computed for it."""
    if isinstance(error, MemoryError | RuntimeError):
        return True
    if not isinstance(error, OSError) or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return False
    named = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if name]
    ours = f".{target.name}."
    return bool(named) and not any(
        path in (target, *target.parents) or any(part.startswith(ours) for part in path.parts)
        for path in named
    )


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
        DistilleakError: the file is damaged; or it may be sound, and the machine refuses to read it
            for want of rights, memory, threads or open files.
    """
    try:
        yield
    except (*_UNREADABLE, MemoryError, RuntimeError) as error:
        if reason := refusal(error):
            raise DistilleakError(f"{path}: cannot be read: {reason}") from error
        if not isinstance(error, _UNREADABLE):
            raise
        raise _damaged(path, "Parquet", error) from error


def open_parquet(path: str | Path, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file for reading; `options` are those of `pq.ParquetFile`.

    Raises:
        DistilleakError: the file is missing or damaged.
    """
    if not Path(path).is_file():
        raise DistilleakError(f"{path}: no such file")
    with reading(path):
        file = pq.ParquetFile(path, page_checksum_verification=True, **options)
        _check_counts(file.metadata, Path(path).stat().st_size)
        return file


def _check_counts(footer: pq.FileMetaData, size: int) -> None:
    """Compare what a footer, which has no checksum, says of rows with itself and with the file.

    Raises:
        ArrowInvalid: they contradict each other.
    """
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    if footer.num_rows != sum(group.num_rows for group in groups):
        raise pa.ArrowInvalid("its numbers of rows contradict each other")
    # Around the data stand the name of the format, twice, and the size of the footer.
    if not groups and size > footer.serialized_size + 12:
        raise pa.ArrowInvalid("it holds data, but says that it has no row")


def check_rows(read: int, promised: int) -> None:
    """Compare the rows that were read with those that a footer promises.

    Raises:
        ArrowInvalid: there are fewer or more.
    """
    if read != promised:
        raise pa.ArrowInvalid(f"{read} rows where its footer says {promised}")


def read_table(path: str | Path, columns: Columns | None = None) -> pa.Table:
    """Read a Parquet file, or the named `columns` of it.

    Raises:
        DistilleakError: the file is missing or damaged, or its columns are not those wanted, as
            `check_columns` and `check_values`.
    """
    return _read(open_parquet(path), path, columns, None)


def read_range(path: str | Path, columns: Columns, key: str, low: str, high: str) -> pa.Table:
    """Read the row groups of a Parquet file that may hold a `key` from `low` to `high`.

    If the file is sorted by `key`, that is little more than the wanted rows. Row groups are
    selected by the statistics that the writer stored; a row group without statistics is read.

    Raises:
        DistilleakError: as `read_table`.
    """
    file = open_parquet(path)
    check_columns(file.schema_arrow, columns, path)
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
    columns: Columns | None,
    groups: Sequence[int] | None,
) -> pa.Table:
    if columns is not None:
        check_columns(file.schema_arrow, columns, path)
    wanted = None if columns is None else names_of(columns)
    chosen = range(file.num_row_groups) if groups is None else groups
    with reading(path):
        table = file.read_row_groups(list(chosen), columns=wanted)
        check_rows(len(table), sum(file.metadata.row_group(group).num_rows for group in chosen))
    if isinstance(columns, pa.Schema):
        check_values(table, columns, path)
    return table


def names_of(columns: Columns) -> list[str]:
    """The names of columns that a reader wants."""
    return columns.names if isinstance(columns, pa.Schema) else list(columns)


def check_columns(found: pa.Schema, wanted: Columns, path: str | Path) -> None:
    """Check that a file has the columns that its reader wants and, given a schema, of their types.

    Types of one kind count as equal: a whole number may have 32 or 64 bits.

    Raises:
        DistilleakError: a column is missing or of another kind, as in a file that another version
            of the program wrote.
    """
    missing = [name for name in names_of(wanted) if name not in found.names]
    if missing:
        present = ", ".join(found.names)
        raise DistilleakError(f"{path}: no column {missing[0]!r}; the columns are {present}")
    for field in wanted if isinstance(wanted, pa.Schema) else ():
        kind, needed = _kind(found.field(field.name).type), _kind(field.type)
        if kind != needed:
            raise DistilleakError(
                f"{path}: column {field.name!r} holds {kind}, not {needed}; another version or "
                "another program wrote this file"
            )


def check_values(table: pa.Table, columns: pa.Schema, path: str | Path) -> None:
    """Check that no value of these columns is null, and none in a list.

    Raises:
        DistilleakError: one is; the message names the record if the table does.
    """
    for name in columns.names:
        column = table[name]
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            ids = [table[key][row].as_py() for key in _IDS if key in table.column_names]
            record = f"record {ids[0]!r}: " if ids and ids[0] is not None else ""
            raise DistilleakError(f"{path}: {record}column {name!r} is null")
        if _is_list(column.type) and pc.list_flatten(column).null_count:
            raise DistilleakError(f"{path}: column {name!r} has a list with a null in it")


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _kind(given: pa.DataType) -> str:
    """What a column holds, in the words of a message."""
    if _is_list(given):
        return f"lists of {_kind(given.value_type)}"
    for is_kind, words in (
        (pa.types.is_string, "text"),
        (pa.types.is_large_string, "text"),
        (pa.types.is_boolean, "true and false"),
        (pa.types.is_integer, "whole numbers"),
        (pa.types.is_floating, "numbers with decimals"),
    ):
        if is_kind(given):
            return words
    return str(given)


def write_json(value: Any, path: str | Path) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_text(as_json(value), path)


def as_json(value: Any) -> str:
    """Indented JSON with sorted keys, as files hold it."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


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


def read_object(path: str | Path, keys: Mapping[str, Kinds]) -> dict[str, Any]:
    """Read a JSON file that holds an object with at least these `keys`, of these types.

    Raises:
        DistilleakError: the file is missing or damaged, or holds something else.
    """
    return check_object(read_json(path), keys, path)


def check_object(found: Any, keys: Mapping[str, Kinds], where: str | Path) -> dict[str, Any]:
    """`found`, if it is an object with at least these `keys`, of these types.

    Raises:
        DistilleakError: it is not; the message begins with `where`.
    """
    if not isinstance(found, dict):
        raise DistilleakError(f"{where}: holds {type(found).__name__}, not an object with keys")
    for key, wanted in keys.items():
        if key not in found:
            raise DistilleakError(
                f"{where}: no key {key!r}; its keys are {', '.join(found) or 'none'}"
            )
        value, allowed = found[key], wanted if isinstance(wanted, tuple) else (wanted,)
        # True is an int for Python, but not for JSON.
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            raise DistilleakError(
                f"{where}: {key!r} is {type(value).__name__}, not "
                f"{' or '.join(kind.__name__ for kind in allowed)}; another version or another "
                "program wrote this file"
            )
    return found


def write_text(text: str, path: str | Path) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _damaged(path: str | Path, kind: str, error: Exception) -> DistilleakError:
    reason = str(error).splitlines()[0].rstrip(".")
    return DistilleakError(
        f"{path}: damaged {kind} file ({reason}); delete it and run again to recreate it"
    )
