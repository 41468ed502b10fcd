"""Two tokenizers are the same if they cut every text into the same tokens."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from architecture import PACKAGE
from tiny_study import sentences

from distilleak.errors import DistilleakError
from distilleak.records import tokenizer as tokenization
from distilleak.records import tokenizer_rules


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "tokenizer"
    tokenization.save(tokenization.train(sentences(100, seed=0), 300), path, 64)
    return path


def changed(saved: Path, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    shutil.copytree(saved, path)
    given = json.loads((path / "tokenizer.json").read_text())
    change(given)
    (path / "tokenizer.json").write_text(json.dumps(given))
    return path


def pad(given: dict[str, Any]) -> None:
    given["padding"] = {"strategy": "BatchLongest", "pad_id": 0}
    given["truncation"] = {"max_length": 8}
    given["post_processor"] = {"type": "ByteLevel"}


def write_pairs_as_text(given: dict[str, Any]) -> None:
    given["model"]["merges"] = [" ".join(pair) for pair in given["model"]["merges"]]


def make_no_token_special(given: dict[str, Any]) -> None:
    given["added_tokens"][0]["special"] = False


def lower(given: dict[str, Any]) -> None:
    given["normalizer"] = {"type": "Lowercase"}


def drop_a_merge(given: dict[str, Any]) -> None:
    given["model"]["merges"].pop()


def rename_a_word(given: dict[str, Any]) -> None:
    words = given["model"]["vocab"]
    words["another"] = words.pop(max(words, key=words.__getitem__))


@pytest.mark.parametrize("change", [lambda given: None, pad, write_pairs_as_text])
def test_what_stands_round_a_text_makes_no_difference(
    change: Callable[[dict[str, Any]], None], saved: Path, tmp_path: Path
) -> None:
    other = changed(saved, tmp_path / "t", change)
    assert tokenizer_rules.alike(saved, other) is True
    assert tokenizer_rules.equal(saved, other) is True


@pytest.mark.parametrize("change", [lower, drop_a_merge, make_no_token_special])
def test_other_rules_for_one_vocabulary_are_known_once_they_are_loaded(
    change: Callable[[dict[str, Any]], None], saved: Path, tmp_path: Path
) -> None:
    other = changed(saved, tmp_path / "t", change)
    # Another version of the library may have written the same rules in another way.
    assert tokenizer_rules.alike(saved, other) is None
    assert tokenizer_rules.equal(saved, other) is False


def test_another_vocabulary_is_another_tokenizer(saved: Path, tmp_path: Path) -> None:
    other = changed(saved, tmp_path / "t", rename_a_word)
    assert tokenizer_rules.alike(saved, other) is False
    assert tokenizer_rules.equal(saved, other) is False


def test_another_class_may_build_another_tokenizer_of_the_same_file(
    saved: Path, tmp_path: Path
) -> None:
    other = changed(saved, tmp_path / "t", lambda given: None)
    file = other / "tokenizer_config.json"
    given = json.loads(file.read_text())
    file.write_text(json.dumps({**given, "tokenizer_class": "PreTrainedTokenizer"}))
    assert tokenizer_rules.alike(saved, other) is True
    file.write_text(json.dumps({**given, "tokenizer_class": "Qwen2Tokenizer"}))
    assert tokenizer_rules.alike(saved, other) is None
    file.write_text(json.dumps({**given, "add_prefix_space": True}))
    assert tokenizer_rules.alike(saved, other) is None


def test_without_a_file_only_loading_tells(saved: Path, tmp_path: Path) -> None:
    assert tokenizer_rules.alike(saved, tmp_path) is None


def test_a_unigram_model_has_its_scores(tmp_path: Path) -> None:
    for name, score in (("a", -1.0), ("b", -2.0), ("c", -2.0)):
        (tmp_path / name).mkdir()
        model = {"type": "Unigram", "vocab": [["one", score], ["two", -3.0]]}
        (tmp_path / name / "tokenizer.json").write_text(json.dumps({"model": model}))
    assert tokenizer_rules.equal(tmp_path / "a", tmp_path / "b") is False
    assert tokenizer_rules.equal(tmp_path / "b", tmp_path / "c") is True


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": {}}', '{"model": {"vocab": [1]}}'])
def test_a_damaged_file_is_named(text: str, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(DistilleakError, match=r"tokenizer\.json: no tokenizer \(the file is dama"):
        tokenizer_rules.alike(saved, tmp_path)


def test_nothing_is_loaded_for_it(saved: Path) -> None:
    program = """
import sys
from distilleak.records import tokenizer_rules
assert tokenizer_rules.alike(sys.argv[1], sys.argv[1]) is True
print(sorted({"torch", "transformers", "tokenizers"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(saved)],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
