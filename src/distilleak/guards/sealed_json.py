"""JSON files with their SHA-256 beside them, compared when another stage reads them.

It lies in `<name>.sha256`, which `sha256sum -c` reads. A file without is read without.
"""

from pathlib import Path
from typing import Any

from distilleak import files
from distilleak.errors import DistilleakError
from distilleak.guards import checksums


def write(value: Any, path: str | Path) -> None:
    """Write `value` as `files.write_json` does, and its checksum beside it."""
    # While it is being replaced it has none, so that a kill leaves no checksum of another file.
    _beside(path).unlink(missing_ok=True)
    files.write_json(value, path)
    files.write_text(f"{checksums.digest(Path(path))}  {Path(path).name}\n", _beside(path))


def read(path: str | Path, output: str | Path | None = None) -> Any:
    """Read a JSON file and compare it with the checksum beside it, if there is one.

    `output` is as in `checksums.verify`.

    Raises:
        DistilleakError: the file is missing, has changed, or is not JSON.
    """
    beside = _beside(path)
    if output is not None and not Path(path).is_file():
        raise DistilleakError(f"{path}: no such file; {checksums.mending(output)}")
    if beside.is_file() and Path(path).is_file():
        for _, expected in checksums.listed(beside, output or path):
            checksums.compare(Path(path), expected, output or path)
    return files.read_json(path)


def _beside(path: str | Path) -> Path:
    return Path(f"{path}.sha256")
