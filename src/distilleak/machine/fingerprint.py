"""Fingerprints of all that a computation depends on."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import transformers
from pydantic_core import to_jsonable_python

from distilleak.errors import DistilleakError
from distilleak.guards.checksums import digest
from distilleak.settings.base import canonical_json

PACKAGE = Path(__file__).parents[1]
"""The source code that every fingerprint holds."""


def fingerprint(arguments: Mapping[str, object], files: Sequence[str | Path]) -> str:
    """SHA-256 of all that a computation depends on, as 64 hexadecimal digits.

    That is `arguments` (settings, paths and JSON values), the contents of `files` (of directories:
    names and contents of all files in them), the source code of this package, and the versions of
    torch and transformers.

    Raises:
        DistilleakError: a file does not exist.
    """
    everything = {
        "arguments": to_jsonable_python(dict(arguments)),
        "files": [_contents(Path(path)) for path in files],
        "code": _contents(PACKAGE, "*.py"),
        "versions": [torch.__version__, transformers.__version__],
    }
    return hashlib.sha256(canonical_json(everything).encode()).hexdigest()


def _contents(path: Path, pattern: str = "*") -> dict[str, str]:
    if not path.exists():
        raise DistilleakError(f"{path}: no such file")
    inside = [path] if path.is_file() else [file for file in path.rglob(pattern) if file.is_file()]
    return {file.relative_to(path).as_posix(): digest(file) for file in inside}
