"""hub: a data set on the Hugging Face hub, streamed, so that no more is read than is used."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from distilleak.corpora._columns import ColumnSettings, FileNames, Row, listed, passages_of
from distilleak.corpora.base import Passage
from distilleak.errors import DistilleakError

SHUFFLE_SEED = 0
"""The corpus is the same for all seeds of a study; each seed draws its pools from it."""


class Parameters(ColumnSettings):
    """Which data set to read, how much of it, and which columns hold the texts."""

    dataset: str = Field(min_length=1)
    """Name on the hub, such as `Salesforce/wikitext`, or the format of `data_files`: `json`, `csv`,
    `parquet` or `text`. Data sets that need to run their own code are not supported."""
    configuration: str | None = Field(default=None, min_length=1)
    """Which of its configurations; not needed if there is only one."""
    split: str = Field(default="train", min_length=1)
    """Which of its splits."""
    revision: str | None = Field(default=None, min_length=1)
    """Branch, tag or commit; by default the newest, which may change between two runs."""
    data_files: FileNames | None = None
    """Only these files of the data set; if `dataset` is a format, local files or URLs."""
    limit: int = Field(default=100_000, ge=1, le=10**9)
    """Maximum number of passages: a large corpus is never read completely."""
    shuffle_buffer: int | None = Field(default=None, ge=2, le=10**8)
    """Shuffle with a buffer of this many rows, so that the passages up to `limit` do not all come
    from the first documents; by default the order of the data set is kept."""


def files(parameters: Parameters) -> list[str]:
    """Those of the data files that are local."""
    return [name for name in listed(parameters.data_files or []) if Path(name).is_file()]


def passages(parameters: Parameters) -> Iterator[Passage]:
    """The first `limit` passages, in the order of the data set; empty texts are skipped.

    Raises:
        DistilleakError: the package `datasets` is missing, or the data set cannot be reached or
            read or lacks a column.
    """
    found = (
        passage
        for number, row in enumerate(_rows(parameters), start=1)
        for passage in passages_of(
            row, parameters, f"{parameters.dataset}: row {number}", skip_empty=True
        )
    )
    return islice(found, parameters.limit)


def _rows(parameters: Parameters) -> Iterator[Row]:
    try:
        # Importing it takes seconds.
        import datasets
    except ImportError as error:
        raise DistilleakError(
            "corpus.source: hub needs the package datasets, which is not installed"
        ) from error
    try:
        stream: Any = datasets.load_dataset(
            parameters.dataset,
            parameters.configuration,
            split=parameters.split,
            revision=parameters.revision,
            data_files=parameters.data_files,
            streaming=True,
        )
        if parameters.shuffle_buffer is not None:
            stream = stream.shuffle(seed=SHUFFLE_SEED, buffer_size=parameters.shuffle_buffer)
        yield from stream
    # The library and the HTTP clients and decoders that it uses share no base exception.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        offline = "; HF_HUB_OFFLINE is set" if datasets.config.HF_HUB_OFFLINE else ""
        raise DistilleakError(
            f"corpus.dataset: {parameters.dataset}: cannot be read ({reason}{offline})"
        ) from error
