"""Invented personal records: distinct, of a natural length, and the same every time."""

import datetime
import hashlib
import re
import subprocess
import sys

import pytest

from distilleak.corpora import records
from distilleak.errors import DistilleakError
from distilleak.records.deduplication import distinct
from distilleak.settings.deduplication import DeduplicationSettings

NUMBER = re.compile(r"\b[A-Z]{2}-\d{8}\b")


def texts(count: int, seed: int = 0, locale: str = "en_US") -> list[str]:
    parameters = records.Parameters(count=count, seed=seed, locale=locale)
    found = list(records.passages(parameters))
    assert {(passage.source, passage.date, passage.label) for passage in found} == {("", "", "")}
    assert records.files(parameters) == []
    return [passage.text for passage in found]


def test_there_are_as_many_records_as_requested_of_25_to_60_words() -> None:
    found = texts(1000)
    assert len(found) == 1000
    assert all(25 <= len(text.split()) <= 60 for text in found)
    assert not any("\n" in text for text in found)


def test_every_record_has_its_own_number_and_all_the_other_slots() -> None:
    found = texts(1000)
    numbers = [NUMBER.findall(text) for text in found]
    assert all(len(own) == 1 for own in numbers)
    assert len({own[0] for own in numbers}) == 1000
    assert all(len(re.findall(r"\S+@example\.(?:com|net|org)\b", text)) == 1 for text in found)
    months = "|".join(datetime.date(2000, month, 1).strftime("%B") for month in range(1, 13))
    years = [int(re.findall(rf"\b\d{{1,2}} (?:{months}) (\d{{4}})\b", text)[0]) for text in found]
    assert min(years) >= 1935
    assert max(years) <= 2005
    assert not any(re.search(r"[{}]", text) for text in found)


def test_no_record_is_a_near_copy_of_another() -> None:
    found = texts(1000)
    assert len(distinct(found, DeduplicationSettings(similarity=0.3))) == len(found)


def test_the_same_seed_gives_the_same_records_in_every_process_and_on_every_day() -> None:
    program = """
import datetime, hashlib, sys
class Later(datetime.datetime):
    @classmethod
    def now(cls, tz=None): return datetime.datetime(2060, 1, 1, tzinfo=tz)
from faker.providers import date_time
date_time.datetime = Later
from distilleak.corpora import records
found = records.passages(records.Parameters(count=50, seed=7))
print(hashlib.sha256("|".join(passage.text for passage in found).encode()).hexdigest())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = hashlib.sha256("|".join(texts(50, seed=7)).encode()).hexdigest()
    assert done.stdout.strip() == here


def test_more_records_begin_with_the_same_ones_and_another_seed_gives_different_ones() -> None:
    assert texts(30)[:10] == texts(10)
    assert not set(texts(30)) & set(texts(30, seed=1))


def test_other_places_have_other_names() -> None:
    assert any("ß" in text or "ü" in text for text in texts(50, locale="de_DE"))


def test_an_unknown_locale_is_reported_in_one_line() -> None:
    with pytest.raises(DistilleakError) as caught:
        texts(1, locale="xx_YY")
    assert str(caught.value) == (
        "corpus.locale: 'xx_YY' is not a locale of faker; use one such as en_US, de_DE or ja_JP"
    )


def test_a_missing_package_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faker", None)
    with pytest.raises(DistilleakError) as caught:
        texts(1)
    assert str(caught.value) == (
        "corpus.source: records needs the package faker, which is not installed"
    )
