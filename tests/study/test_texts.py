"""What is wrong with the user's texts is said when a study is planned."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from small_study import small_study

from distilleak.errors import DistilleakError
from distilleak.study import texts

POOLS = {"member": 2, "nonmember": 2, "holdout": 1, "auxiliary": 1, "shown": 1}


def check(path: Path, pools: Any = None, **corpus: Any) -> None:
    study = small_study(
        corpus={"source": "local", "path": str(path), **corpus},
        pools=pools or POOLS,
        attacks={"loss": {}},
        evaluation={"folds": 2},
        references=0,
    )
    texts.check(study.corpora[""])


def refusal(path: Path, pools: Any = None, **corpus: Any) -> str:
    with pytest.raises(DistilleakError) as caught:
        check(path, pools, **corpus)
    return str(caught.value).replace(str(path), path.name)


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_enough_passages_are_enough(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"text": f"text {row}"} for row in range(7)])
    check(path)
    path = write(path, [{"text": f"text {row}"} for row in range(6)])
    assert refusal(path) == (
        "pools: 2 member + 2 nonmember + 1 holdout + 1 auxiliary + 1 shown = 7 records, but the "
        "corpus has only 6 passages"
    )
    # What follows is read by the stage; here nothing more is needed.
    write(path, [*({"text": f"text {row}"} for row in range(7)), {"body": "x"}])
    check(path)


def test_a_fraction_needs_a_passage(tmp_path: Path) -> None:
    pools = {"member": 0.25, "nonmember": 0.25, "holdout": 0.25, "auxiliary": 0.25}
    path = write(tmp_path / "mine.jsonl", [{"text": f"text {row}"} for row in range(4)])
    check(path, pools)
    write(path, [{"text": "alone"}])
    assert refusal(path, pools).endswith("= 4 records, but the corpus has only 1 passages")


def test_every_label_needs_its_passages(tmp_path: Path) -> None:
    pools = {**POOLS, "assignment": "labels"}
    rows = [{"text": f"text {row}", "in": row < 3} for row in range(7)]
    path = write(tmp_path / "mine.jsonl", rows)
    check(path, pools, label_column="in", member_value=True)
    assert refusal(path, pools, label_column="in", member_value=False) == (
        "pools: 2 nonmember + 1 holdout + 1 auxiliary = 4 records, but the corpus has only 3 "
        "passages labelled nonmember"
    )


def test_a_missing_column_is_found_in_every_file_however_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "SMALL", 0)
    write(tmp_path / "a.jsonl", [{"body": "a"}])
    write(tmp_path / "b.jsonl", [{"text": "b"}])
    assert refusal(tmp_path, text_column="body").endswith(
        "b.jsonl:1: no column 'body'; the columns are text"
    )
    # Of large files no more than the first row is read.
    write(tmp_path / "b.jsonl", [{"body": "b"}, {"text": "not reached"}])
    check(tmp_path, text_column="body")


def test_other_corpora_are_not_read() -> None:
    texts.check(small_study(pools__member=10**6).corpora[""])


def test_whole_documents_need_to_be_named(tmp_path: Path) -> None:
    pools = POOLS | {"by": "source"}
    path = write(tmp_path / "mine.jsonl", [{"text": f"text {row}"} for row in range(7)])
    check(path)
    assert refusal(path, pools) == (
        "mine.jsonl: the first passage has no source, but pools.by is `source`; name the column "
        "that says which document each passage is from (source_column), or use `by: passage`"
    )
    write(path, [{"text": f"text {row}", "book": f"book {row}"} for row in range(7)])
    check(path, pools, source_column="book")
