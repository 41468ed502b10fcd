"""local: your own texts, one JSON object a line."""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from distilleak.corpora.base import Passage
from distilleak.errors import DistilleakError
from distilleak.settings.base import Settings


class Parameters(Settings):
    """Where the passages are."""

    path: str = Field(min_length=1)
    """A JSON Lines file; relative paths start at the working directory. Every line is an object
    with a string `text`, and optionally strings `source` and `date` for the blind gate."""


def files(parameters: Parameters) -> list[str]:
    """The file itself: the passages are read again when it changes."""
    return [parameters.path]


def passages(parameters: Parameters) -> Iterator[Passage]:
    """One passage a line; empty lines are passed over.

    Raises:
        DistilleakError: the file is missing or not UTF-8, or a line is not such an object.
    """
    path = Path(parameters.path)
    if not path.is_file():
        raise DistilleakError(f"corpus.path: {path}: no such file")
    # Some editors start a file with a byte order mark, which is no part of its text.
    with path.open(encoding="utf-8-sig") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _passage(line, f"{path}:{number}")
        except UnicodeDecodeError as error:
            raise DistilleakError(f"{path}: not UTF-8 ({error.reason})") from error


def _passage(line: str, place: str) -> Passage:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise DistilleakError(f"{place}: not JSON; every line is an object with a text") from error
    fields = value if isinstance(value, dict) else {}
    text, source, date = (fields.get(name, "") for name in ("text", "source", "date"))
    if not all(isinstance(part, str) for part in (text, source, date)) or not text.strip():
        raise DistilleakError(
            f"{place}: needs a non-empty string 'text'; 'source' and 'date' are strings if given"
        )
    try:
        (text + source + date).encode("utf-8")
    except UnicodeEncodeError as error:
        raise DistilleakError(
            f"{place}: holds half of a surrogate pair, which is no text"
        ) from error
    return Passage(text, source, date)
