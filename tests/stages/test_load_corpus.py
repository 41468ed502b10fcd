"""Loading a corpus: labels go with the passages, and a copy of a member is no non-member."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from distilleak.corpora.base import Passage
from distilleak.records.deduplication import distinct_first
from distilleak.settings.deduplication import DeduplicationSettings
from distilleak.stages import load_corpus

WORDS = [f"word{number}" for number in range(400)]


def text(seed: int) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, 40))


def passage(seed: int, label: str, ending: str = "") -> Passage:
    return Passage(text(seed) + ending, "", "", label)


def kept_of(passages: list[Passage]) -> list[int]:
    texts = [found.text for found in passages]
    members = [found.label == "member" for found in passages]
    return distinct_first(texts, members, DeduplicationSettings())


MEMBERS = [passage(0, "member"), passage(1, "member"), passage(1, "member", " near copy")]
OTHERS = [
    passage(0, "nonmember"),
    passage(1, "nonmember", " another end"),
    passage(2, "nonmember"),
    passage(2, "nonmember", " near copy"),
]


@pytest.mark.parametrize("seed", range(20))
def test_of_copies_with_different_labels_the_member_is_kept_in_any_order(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(MEMBERS + OTHERS))
    passages = [[*MEMBERS, *OTHERS][row] for row in order]
    kept = [passages[row] for row in kept_of(passages)]
    assert sorted(found.label for found in kept) == ["member", "member", "nonmember"]
    members = [found.text for found in kept if found.label == "member"]
    others = [found.text for found in kept if found.label == "nonmember"]
    assert [sum(found.startswith(text(own)) for found in members) for own in range(3)] == [1, 1, 0]
    assert others[0].startswith(text(2))


def test_of_copies_with_the_same_label_the_first_is_kept_in_the_order_of_the_corpus() -> None:
    for label in ("", "member", "nonmember"):
        passages = [
            passage(5, label),
            passage(3, label),
            passage(5, label, " x"),
            passage(4, label),
        ]
        assert kept_of(passages) == [0, 1, 3]


def load(directory: Path, lines: list[dict[str, str]], **parameters: str) -> pd.DataFrame:
    path, output = directory / "mine.jsonl", directory / "passages.parquet"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    corpus = {"source": "local", "parameters": {"path": str(path), **parameters}}
    load_corpus.main(["--corpus", json.dumps(corpus), "--output", str(output)])
    return pd.read_parquet(output)


def test_the_label_of_every_passage_is_written(tmp_path: Path) -> None:
    lines = [{"in": text(2 * row), "out": text(2 * row + 1)} for row in range(5)]
    lines.append({"in": text(1), "out": text(2)})
    found = load(tmp_path, lines, member_column="in", nonmember_column="out")
    expected = {text(2 * row): "member" for row in range(5)} | {text(1): "member"}
    expected |= {text(2 * row + 1): "nonmember" for row in range(1, 5)}
    assert dict(zip(found["text"], found["label"], strict=True)) == expected
    assert len(found) == len(expected)
    assert found["passage_id"].is_monotonic_increasing


def test_without_labels_the_column_is_empty_text(tmp_path: Path) -> None:
    found = load(tmp_path, [{"text": text(row)} for row in range(3)])
    assert list(found.columns) == ["passage_id", "source", "date", "text", "label"]
    assert found["label"].tolist() == ["", "", ""]


def test_passages_of_every_order_of_labels_are_the_same_set(tmp_path: Path) -> None:
    lines = [
        {"text": text(0), "is": "member"},
        {"text": text(0) + " end", "is": "no"},
        {"text": text(1), "is": "no"},
    ]
    sets = {
        frozenset(zip(found["text"], found["label"], strict=True))
        for order in itertools.permutations(lines)
        for found in [load(tmp_path, list(order), label_column="is", member_value="member")]
    }
    assert sets == {frozenset({(text(0), "member"), (text(1), "nonmember")})}
