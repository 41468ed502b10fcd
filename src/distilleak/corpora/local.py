"""local: your own texts, in files of plain text, JSON Lines, CSV or Parquet."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import field_validator, model_validator

from distilleak.corpora._columns import ColumnSettings, FileNames, listed, passages_of
from distilleak.corpora._files import SUFFIXES, TEXT, paragraphs, rows
from distilleak.corpora.base import Passage


class Parameters(ColumnSettings):
    """Where the passages are, and in which columns."""

    path: FileNames
    """A file or a list of files; relative paths start at the working directory. The ending says the
    format: `.txt` (paragraphs, which blank lines separate), `.jsonl` (an object a line), `.csv`
    (with a header) or `.parquet`; `.gz` and the like are not read."""

    @field_validator("path")
    @classmethod
    def _known_formats(cls, path: str | list[str]) -> str | list[str]:
        for name in listed(path):
            if _suffix(name) not in SUFFIXES:
                file = "" if name is path else f"{name!r} "
                raise ValueError(f"{file}should end in {', '.join(SUFFIXES[:-1])} or {TEXT}")
        return path

    @model_validator(mode="after")
    def _columns_of_tables(self) -> "Parameters":
        named = ("source_column", "date_column", "label_column", "member_column")
        given = [name for name in named if getattr(self, name) is not None]
        texts = [name for name in listed(self.path) if _suffix(name) == TEXT]
        if given and texts:
            raise ValueError(f"{given[0]}: {texts[0]} is plain text, which has no columns")
        return self


def files(parameters: Parameters) -> list[str]:
    """The files themselves: the passages are read again when one changes."""
    return listed(parameters.path)


def passages(parameters: Parameters) -> Iterator[Passage]:
    """File after file, in the order of its rows; empty lines are passed over.

    The source of a paragraph of plain text is its file.

    Raises:
        DistilleakError: a file is missing, damaged or not UTF-8, lacks a column, or a row holds no
            text; the message names the file, the row and the column.
    """
    for name in listed(parameters.path):
        path = Path(name)
        if _suffix(name) == TEXT:
            for text in paragraphs(path):
                if parameters.fits(text):
                    yield Passage(text, source=name, date="")
        else:
            for place, row in rows(path, parameters):
                yield from passages_of(row, parameters, place)


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()
