"""Passages from rows with named columns, read from a file or a hub."""

import datetime
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from distilleak.corpora.base import MEMBER, NONMEMBER, Passage
from distilleak.errors import DistilleakError
from distilleak.settings.base import Settings

Row = Mapping[str, object]

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
_UNSEEN = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
"""Fillers, variation selectors and the empty Braille cell: letters, marks and symbols for Unicode,
of which nothing is drawn."""


def _names(value: Any) -> Any:
    several = value if isinstance(value, list) else [value]
    if not several or not all(isinstance(name, str) and name for name in several):
        raise PydanticCustomError("names", "should be the name of a file or a list of such names")
    return value


def _scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | str):
        raise PydanticCustomError("scalar", "should be text, a whole number, true or false")
    return value


# These checks run before pydantic's own, so that an error lists what is allowed once rather than
# once per alternative.
Label = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
FileNames = Annotated[str | list[str], BeforeValidator(_names)]


class ColumnSettings(Settings):
    """Which columns hold what, and which of the passages are kept."""

    text_column: str = Field(default="text", min_length=1)
    """Column that holds the text."""
    source_column: str | None = Field(default=None, min_length=1)
    """Column that names the document a text is from, for the blind gate. By default `source`, if
    there is such a column."""
    date_column: str | None = Field(default=None, min_length=1)
    """Column of the document's date, YYYY-MM-DD or YYYY, for the blind gate. By default `date`, if
    there is such a column."""
    label_column: str | None = Field(default=None, min_length=1)
    """Column that labels each text by whether it was in a model's training data, for `pools` with
    `assignment: labels`."""
    member_value: Annotated[bool | Label | str, BeforeValidator(_scalar)] = 1
    """The value of `label_column` that marks a member, compared as text, ignoring case; any other
    value marks a non-member."""
    member_column: str | None = Field(default=None, min_length=1)
    """Column of a member's text. Together with `nonmember_column` it replaces `text_column` and
    `label_column`; every row then gives two passages."""
    nonmember_column: str | None = Field(default=None, min_length=1)
    """Column of a non-member's text."""
    split_paragraphs: bool = False
    """Split each text at blank lines into paragraphs; each paragraph is a passage."""
    min_words: int = Field(default=1, ge=1, le=10**9)
    """Shorter passages are left out."""
    max_words: int | None = Field(default=None, ge=1, le=10**9)
    """Longer passages are left out; by default none is."""

    @model_validator(mode="after")
    def _consistent(self) -> "ColumnSettings":
        if (self.member_column is None) != (self.nonmember_column is None):
            raise ValueError("give member_column and nonmember_column together or not at all")
        if self.member_column is not None and self.label_column is not None:
            raise ValueError(
                "label_column: not allowed with member_column, which already labels the texts"
            )
        if self.max_words is not None and self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}")
        return self

    def texts(self) -> list[str]:
        """The columns that hold text."""
        if self.member_column is not None and self.nonmember_column is not None:
            return [self.member_column, self.nonmember_column]
        return [self.text_column]

    def fits(self, text: str) -> bool:
        """Whether the length of a passage is within the limits."""
        words = len(text.split())
        return self.min_words <= words and (self.max_words is None or words <= self.max_words)


def listed(names: str | list[str]) -> list[str]:
    """One or several names, as a list."""
    return [names] if isinstance(names, str) else names


def paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """The paragraphs, which blank lines separate, each joined into one line.

    Lines end as Unicode says, with a carriage return alone, a next line (U+0085) or a line
    separator (U+2028) as well. A line is blank if nothing in it can be seen: zero-width spaces and
    byte order marks, which files that were put together have inside, count as nothing.
    """
    words: list[str] = []
    for line in (part for text in lines for part in text.splitlines() or [""]):
        found = [word for word in line.replace(BYTE_ORDER_MARK, "").split() if _is_seen(word)]
        if not found and words:
            yield " ".join(words)
            words = []
        words += found
    if words:
        yield " ".join(words)


def _is_seen(word: str) -> bool:
    return any(
        unicodedata.category(letter) not in ("Cc", "Cf") and letter not in _UNSEEN
        for letter in word
    )


def columns_of(settings: ColumnSettings, present: Sequence[str], place: str) -> list[str]:
    """Which of the columns that are present to read.

    Raises:
        DistilleakError: a column that is needed is missing, or a column occurs twice.
    """
    named = (settings.source_column, settings.date_column, settings.label_column)
    needed = [*settings.texts(), *(name for name in named if name is not None)]
    for name in needed:
        if name not in present:
            raise DistilleakError(
                f"{place}: no column {name!r}; the columns are {', '.join(present)}"
            )
    defaults = [
        default
        for name, default in ((settings.source_column, "source"), (settings.date_column, "date"))
        if name is None and default in present
    ]
    # One column may serve two purposes, such as source and date.
    found = list(dict.fromkeys([*needed, *defaults]))
    for name in found:
        if present.count(name) > 1:
            raise DistilleakError(f"{place}: column {name!r} occurs twice")
    return found


def passages_of(
    row: Row, settings: ColumnSettings, place: str, *, skip_empty: bool = False
) -> Iterator[Passage]:
    """The passages of one row: one, two with `member_column`, or more with `split_paragraphs`.

    Args:
        row: maps columns to values.
        settings: which column holds what.
        place: where the row is, for errors, such as the file and the line.
        skip_empty: an empty text gives no passage; otherwise it is an error.

    Raises:
        DistilleakError: a column is missing, or its value is not a text, a date or a label.
    """
    columns_of(settings, list(row), place)
    source = _note(row, settings.source_column or "source", place)
    date = _note(row, settings.date_column or "date", place)
    labels = [MEMBER, NONMEMBER] if settings.member_column else [_label(row, settings, place)]
    for column, label in zip(settings.texts(), labels, strict=True):
        text = _text(row, column, place)
        if not any(map(_is_seen, text.split())) and not skip_empty:
            raise DistilleakError(f"{place}: column {column!r} is empty")
        for part in paragraphs([text]) if settings.split_paragraphs else [text]:
            if settings.fits(part):
                yield Passage(part, source, date, label)


def _text(row: Row, column: str, place: str) -> str:
    value = row[column]
    if value is None:
        raise DistilleakError(f"{place}: column {column!r} is null")
    if not isinstance(value, str):
        raise DistilleakError(f"{place}: column {column!r} holds {_kind(value)}, not text")
    return _writable(value, column, place)


def _note(row: Row, column: str, place: str) -> str:
    """A source or date; empty if unknown."""
    value = row.get(column)
    if value is None:
        return ""
    if isinstance(value, str):
        return _writable(value, column, place)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DistilleakError(
        f"{place}: column {column!r} holds {_kind(value)}, not text, a whole number or a date"
    )


def _label(row: Row, settings: ColumnSettings, place: str) -> str:
    if settings.label_column is None:
        return ""
    value = row[settings.label_column]
    if value is None or value != value or value == "":
        raise DistilleakError(
            f"{place}: column {settings.label_column!r} is empty; every text needs a label"
        )
    if not isinstance(value, bool | int | float | str):
        raise DistilleakError(
            f"{place}: column {settings.label_column!r} holds {_kind(value)}, not a label"
        )
    return MEMBER if _as_text(value) == _as_text(settings.member_value) else NONMEMBER


def _as_text(value: bool | int | float | str) -> str:
    """Equal for 1, 1.0 and "1", and for true and "True": files store labels differently."""
    text = str(value).strip().lower()
    whole = re.fullmatch(r"(-?\d+)\.0+", text)
    return whole[1] if whole else text


def _writable(text: str, column: str, place: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DistilleakError(
            f"{place}: column {column!r} holds half of a surrogate pair, which is not text"
        ) from error
    return text


def _kind(value: object) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", bytes: "bytes"}
    kinds |= {list: "a list", dict: "a mapping", datetime.date: "a date"}
    return kinds.get(type(value), type(value).__name__)
