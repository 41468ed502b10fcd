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


def passages(parameters: Parameters) -> Iterator[Passage]:
    """One passage a line.

    Raises:
        DistilleakError: the file is missing or not UTF-8, or a line is not such an object.
    """
    path = Path(parameters.path)
    if not path.is_file():
        raise DistilleakError(f"corpus.path: {path}: no such file")
    with path.open(encoding="utf-8") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                yield _passage(line, f"{path}:{number}")
        except UnicodeDecodeError as error:
            raise DistilleakError(f"{path}: not UTF-8 ({error.reason})") from error


def _passage(line: str, place: str) -> Passage:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise DistilleakError(f"{place}: not JSON; every line is an object with a text") from error
    fields = value if isinstance(value, dict) else {}
    parts = [fields.get("text"), fields.get("source", ""), fields.get("date", "")]
    if not all(isinstance(part, str) for part in parts) or not str(parts[0]).strip():
        raise DistilleakError(
            f"{place}: needs a non-empty string 'text'; 'source' and 'date' are strings if given"
        )
    return Passage(*parts)
