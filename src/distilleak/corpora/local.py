"""local: your own texts, from plain text, JSON Lines, CSV or Parquet files."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import field_validator, model_validator

from distilleak.corpora._columns import ColumnSettings, FileNames, listed, passages_of
from distilleak.corpora._files import SUFFIXES, TEXT, paragraphs, rows
from distilleak.corpora.base import Passage


class Parameters(ColumnSettings):
    """Which files hold the passages, and in which columns."""

    path: FileNames
    """A file or a list of files; paths may be relative to the working directory. The extension
    determines the format: `.txt` (paragraphs separated by blank lines), `.jsonl` (one object per
    line), `.csv` (with a header) or `.parquet`. Compressed files such as `.gz` are not read."""

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
    """The files themselves: when one changes, the passages are read again."""
    return listed(parameters.path)


def passages(parameters: Parameters) -> Iterator[Passage]:
    """The passages file by file, in the order of the rows; empty lines are skipped.

    The source of a plain-text paragraph is its file.

    Raises:
        DistilleakError: a file is missing, damaged or not UTF-8, or lacks a column, or a row holds
            no text; the message names the file, the row and the column.
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
