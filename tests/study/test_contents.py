"""Checksums of the user's files: contents count, dates and names do not."""

import os
from pathlib import Path

import pytest

from distilleak.errors import DistilleakError
from distilleak.study import contents


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process, and with a limit that files of a test can reach."""
    contents._digest.cache_clear()
    monkeypatch.setattr(contents, "LARGE", 10_000_000)
    monkeypatch.setattr(contents, "SAMPLE", 1000)


def digest(*files: Path) -> str:
    contents._digest.cache_clear()
    return contents.digest([str(file) for file in files])


def test_contents_and_order_count_and_dates_and_names_do_not(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"a" * 1000)
    two.write_bytes(b"b" * 1000)
    before = digest(one, two)
    os.utime(one, (1, 1))
    one.rename(tmp_path / "renamed")
    assert digest(tmp_path / "renamed", two) == before
    assert digest(two, tmp_path / "renamed") != before
    two.write_bytes(b"b" * 999 + b"c")
    assert digest(tmp_path / "renamed", two) != before
    assert digest() == ""


@pytest.mark.parametrize("place", [0, 10_000_000, 20_000_000])
def test_of_a_large_file_beginning_middle_end_and_size_count(place: int, tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(bytes(20_000_001))
    assert contents.is_large(str(file))
    before = digest(file)
    with file.open("r+b") as stream:
        # As training does, it changes all that lies there.
        stream.seek(max(0, place - 100_000))
        stream.write(b"\1" * 100_000)
    changed = digest(file)
    assert changed != before
    os.truncate(file, 20_000_000)
    assert digest(file) != changed


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DistilleakError, match="gone: cannot be read"):
        digest(tmp_path / "gone")
