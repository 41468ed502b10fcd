"""Conditions on the passages of a corpus: which of them a study uses."""

import datetime
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from distilleak.settings.base import Settings

_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")


def _date(value: Any) -> Any:
    text = f"{value:04d}" if isinstance(value, int) and not isinstance(value, bool) else value
    text = text.isoformat() if isinstance(text, datetime.date) else text
    if not isinstance(text, str) or not _DATE.fullmatch(text) or not _exists(text):
        raise PydanticCustomError("date", "should be a date, such as 1950 or 1950-06-30")
    return text


def _exists(text: str) -> bool:
    """Whether the calendar has this year, month or day."""
    try:
        datetime.date.fromisoformat(f"{text}-01-01"[:10])
    except ValueError:
        return False
    return True


Date = Annotated[
    str,
    BeforeValidator(_date),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 9999},
                {"type": "string", "pattern": f"^{_DATE.pattern}$"},
            ]
        }
    ),
]


class ConditionSettings(Settings):
    """Which passages of a corpus are used: those that meet all conditions. With one on the date,
    passages without a date are left out."""

    before: Date | None = None
    """Only passages dated before this day, month or year."""
    since: Date | None = None
    """Only passages of this day, month or year and later ones."""
    sources: list[str] | None = Field(default=None, min_length=1)
    """Only passages from these documents, as the corpus calls them."""

    @model_validator(mode="after")
    def _not_crossed(self) -> "ConditionSettings":
        if self.before is not None and self.since is not None and self.before <= self.since:
            raise ValueError(f"nothing is both before {self.before} and since {self.since}")
        return self

    def met(self, source: str, date: str) -> bool:
        """Whether a passage of this document and ISO date, which may be empty, is used."""
        return (
            (self.before is None or "" < date < self.before)
            and (self.since is None or date >= self.since)
            and (self.sources is None or source in self.sources)
        )
