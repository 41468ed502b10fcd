"""SHA-256 of the files in a directory, compared when another stage reads them.

They lie in the directory as `SHA256SUMS`, which `sha256sum -c` reads. A directory without, such as
a user's checkpoint, is read without.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

from distilleak.errors import DistilleakError

SUMS = "SHA256SUMS"
_READ = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""Files that a list is not complete without, where they are there: it may have been cut off."""
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def digest(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(directory: Path) -> None:
    """Write the checksums of all files in `directory` into it."""
    names = sorted(file.name for file in directory.iterdir() if file.is_file())
    text = "".join(f"{digest(directory / name)}  {name}\n" for name in names)
    (directory / SUMS).write_text(text, encoding="utf-8")


def verify(
    directory: str | Path, names: Sequence[str] | None = None, output: str | Path | None = None
) -> None:
    """Compare the files of a directory with its checksums, if it has any.

    Args:
        directory: what `seal` was called for.
        names: of the files that are read; all if left out.
        output: the output of a job of which `directory` is a part; itself if left out. Snakemake
            does not look into directories, so the job runs again only if all of it is deleted.

    Raises:
        DistilleakError: a file has changed or is missing.
    """
    sums = Path(directory, SUMS)
    if not sums.is_file():
        return
    expected = dict(listed(sums, output or directory))
    wanted = {*expected, *_READ} if names is None else {*names}
    for name in sorted(wanted):
        if name in expected:
            compare(Path(directory, name), expected[name], output or directory)
        elif Path(directory, name).is_file():
            raise DistilleakError(
                f"{sums}: damaged (no {name} in it); {mending(output or directory)}"
            )


def mending(output: str | Path) -> str:
    """How to have the output of a job made again; the end of a message."""
    return f"to have it made again, run the same command after: rm -r {quote(str(output))}"


def listed(sums: Path, output: str | Path) -> Iterator[tuple[str, str]]:
    """(name, checksum) of the files that `sums` lists; `output` as in `verify`.

    Raises:
        DistilleakError: it is no such list.
    """
    for line in sums.read_bytes().decode(errors="replace").splitlines() or [""]:
        found = _LINE.fullmatch(line)
        if found is None:
            raise DistilleakError(f"{sums}: damaged (not a list of checksums); {mending(output)}")
        yield found[2], found[1]


def compare(file: Path, expected: str, output: str | Path) -> None:
    """Compare a file with its checksum; `output` as in `verify`.

    Raises:
        DistilleakError: it has changed or is missing.
    """
    if not file.is_file():
        raise DistilleakError(f"{file}: no such file; {mending(output)}")
    if digest(file) != expected:
        raise DistilleakError(
            f"{file}: damaged (it has changed since it was written: another SHA-256); "
            f"{mending(output)}"
        )
