"""Which files a path stands for: a file, all files of a directory, or those that fit a pattern."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from distilleak.errors import DistilleakError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
"""Last extension of a compressed file -> its name for pyarrow."""


def suffix(name: str) -> str:
    """The extension that determines the format; that of a compressed file is left out."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in COMPRESSIONS else path.suffix


def stands_for_several(name: str) -> bool:
    """Whether a path is a directory or a pattern; a file that is there is always a file."""
    return not os.path.isfile(name) and (os.path.isdir(name) or glob.has_magic(name))


def expanded(names: Sequence[str], readable: Sequence[str]) -> list[str]:
    """The files that the names stand for, those of each name sorted, every file once.

    Hidden files and directories are left out. A name that is neither a directory nor a pattern is
    kept as it is, whether there is such a file or not.

    Args:
        names: files, directories (with all that lie in them) and patterns (`**`: any depth).
        readable: the extensions that files may have.

    Raises:
        DistilleakError: a directory or a pattern stands for no file, or for one of another format.
    """
    found: dict[str, None] = {}
    for name in names:
        if not stands_for_several(name):
            found[name] = None
            continue
        inside = sorted(_below(name) if os.path.isdir(name) else _fitting(name))
        if not inside:
            raise DistilleakError(f"corpus.path: {name}: no file is there")
        for file in inside:
            _check(file, name, readable)
        found |= dict.fromkeys(inside)
    return list(found)


def _below(directory: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise DistilleakError(
            f"corpus.path: {error.filename}: cannot be read ({error.strerror})"
        ) from error

    for place, directories, files in os.walk(directory, onerror=refuse):
        directories[:] = [name for name in directories if not name.startswith(".")]
        yield from (os.path.join(place, name) for name in files if not name.startswith("."))


def _fitting(pattern: str) -> Iterator[str]:
    return (name for name in glob.iglob(pattern, recursive=True) if os.path.isfile(name))


def _check(file: str, name: str, readable: Sequence[str]) -> None:
    shown = file.encode("utf-8", "backslashreplace").decode()
    if shown != file:
        raise DistilleakError(f"corpus.path: {shown}: the file's name is not UTF-8; rename it")
    if suffix(file) not in readable:
        raise DistilleakError(
            f"corpus.path: {file}, in {name}, should end in {', '.join(readable)}; "
            "remove it, or choose files by a pattern such as *.txt"
        )
