"""local: your own texts, from plain text, JSON Lines, CSV or Parquet files, compressed or not."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import field_validator, model_validator

from distilleak.corpora._columns import ColumnSettings, FileNames, listed, passages_of
from distilleak.corpora._files import SUFFIXES, TEXT, paragraphs, rows
from distilleak.corpora._paths import COMPRESSIONS, expanded, stands_for_several, suffix
from distilleak.corpora.base import Passage
from distilleak.errors import DistilleakError


class Parameters(ColumnSettings):
    """Which files hold the passages, and in which columns."""

    path: FileNames
    """A file, a directory, a pattern such as `texts/*.jsonl`, or a list of these; paths may be
    relative to the working directory. A directory stands for all files in it, at any depth, except
    hidden ones; files are read in the order of their names. The extension determines the format:
    `.txt` (paragraphs separated by blank lines), `.jsonl` or `.ndjson` (one object per line),
    `.csv` (with a header) or `.parquet`. All but Parquet may be compressed: `.txt.gz`,
    `.jsonl.zst`."""

    @field_validator("path")
    @classmethod
    def _known_formats(cls, path: str | list[str]) -> str | list[str]:
        for name in listed(path):
            file = "" if name is path else f"{name!r} "
            if not stands_for_several(name) and suffix(name) not in SUFFIXES:
                allowed = f"{', '.join(SUFFIXES[:-1])} or {TEXT}"
                raise ValueError(f"{file}should end in {allowed}, or be a directory")
            if suffix(name) == ".parquet" and Path(name.lower()).suffix in COMPRESSIONS:
                raise ValueError(f"{file}should end in .parquet: it compresses its columns itself")
        return path

    @model_validator(mode="after")
    def _columns_of_tables(self) -> "Parameters":
        problem = self.columns_of_plain_text(listed(self.path))
        if problem:
            raise ValueError(problem)
        return self

    def columns_of_plain_text(self, names: Sequence[str]) -> str:
        """What is wrong if columns are named and one of the files has none; else empty."""
        named = ("source_column", "date_column", "label_column", "member_column")
        given = [name for name in named if getattr(self, name) is not None]
        texts = [name for name in names if suffix(name) == TEXT]
        return (
            f"{given[0]}: {texts[0]} is plain text, which has no columns" if given and texts else ""
        )


def files(parameters: Parameters) -> list[str]:
    """The files themselves: when one changes, the passages are read again.

    Raises:
        DistilleakError: a directory or pattern stands for no file, or for one that is not read.
    """
    found = expanded(listed(parameters.path), SUFFIXES)
    if problem := parameters.columns_of_plain_text(found):
        raise DistilleakError(f"corpus.{problem}")
    return found


def passages(parameters: Parameters) -> Iterator[Passage]:
    """The passages file by file, in the order of the rows; empty lines are skipped.

    The source of a plain-text paragraph is its file.

    Raises:
        DistilleakError: a file is missing, damaged or not UTF-8, or lacks a column, or a row holds
            no text; the message names the file, the row and the column.
    """
    for name in files(parameters):
        path = Path(name)
        if suffix(name) == TEXT:
            for text in paragraphs(path):
                if parameters.fits(text):
                    yield Passage(text, source=name, date="")
        else:
            for place, row in rows(path, parameters):
                yield from passages_of(row, parameters, place)
