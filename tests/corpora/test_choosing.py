"""Conditions on passages: before and since a date divide a corpus without a gap or an overlap."""

import datetime
import re
from typing import Any

import pytest
from pydantic import ValidationError

from distilleak.corpora._choosing import chosen
from distilleak.corpora.base import Passage
from distilleak.errors import DistilleakError
from distilleak.settings.conditions import ConditionSettings

DATES = ["1949", "1949-12-31", "1950", "1950-01-01", "1950-06-30", "1950-07", "2001-01-02", ""]
PASSAGES = [Passage(f"text {row}", f"source {row % 3}", date) for row, date in enumerate(DATES)]


def only(**conditions: Any) -> ConditionSettings:
    return ConditionSettings.model_validate(conditions)


@pytest.mark.parametrize(
    "border", [1950, "1950", "1950-01-01", "1950-07", datetime.date(1950, 6, 30)]
)
def test_before_and_since_divide_the_dated_passages(border: Any) -> None:
    before, since = chosen(PASSAGES, only(before=border)), chosen(PASSAGES, only(since=border))
    assert not set(before) & set(since)
    assert sorted(before + since) == [row for row, date in enumerate(DATES) if date]
    assert max(DATES[row] for row in before) < min(DATES[row] for row in since)


def test_a_year_means_its_first_day() -> None:
    assert [DATES[row] for row in chosen(PASSAGES, only(before=1950))] == ["1949", "1949-12-31"]
    assert "1950" in [DATES[row] for row in chosen(PASSAGES, only(since=1950))]


def test_all_conditions_have_to_be_met() -> None:
    found = chosen(PASSAGES, only(since=1950, before=2000, sources=["source 0"]))
    assert found == [row for row in (2, 3, 4, 5) if PASSAGES[row].source == "source 0"]


def test_without_conditions_every_passage_is_used() -> None:
    assert chosen(PASSAGES, ConditionSettings()) == list(range(len(PASSAGES)))


def test_conditions_that_leave_nothing_say_what_there_is() -> None:
    message = (
        "corpus: no passage meets the conditions of `only`, {'before': '1700'}; its passages are "
        "from 1949 to 2001-01-02"
    )
    with pytest.raises(DistilleakError, match=re.escape(message)):
        chosen(PASSAGES, only(before=1700))
    with pytest.raises(DistilleakError, match="it has no dates"):
        chosen([Passage("text", "", "")], only(since=1950))


@pytest.mark.parametrize("date", ["50", "1950-1-1", "yesterday", 1e3, True, 19500])
def test_what_is_no_date_is_refused(date: Any) -> None:
    with pytest.raises(ValidationError, match="should be a date, such as 1950 or 1950-06-30"):
        only(since=date)


def test_crossed_dates_are_refused() -> None:
    with pytest.raises(ValidationError, match="nothing is both before 1950 and since 1950"):
        only(since=1950, before=1950)


def test_a_document_that_the_corpus_does_not_have_is_named() -> None:
    message = (
        "corpus: only.sources: no passage is from 'sauce 1'; the corpus has 3 documents, such as "
        "'source 1'"
    )
    with pytest.raises(DistilleakError, match=re.escape(message)):
        chosen(PASSAGES, only(sources=["source 0", "sauce 1"]))
    with pytest.raises(DistilleakError, match="such as 'source 0'"):
        chosen(PASSAGES, only(sources=["?"]))
