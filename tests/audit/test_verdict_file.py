"""verdict.json is read as documented, and refused in one line that names the file and the key."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from audit_verdict import EXAMPLE, alone, closed, example, verdict, without_numbers

from distilleak.audit.verdict import Verdict, read
from distilleak.errors import DistilleakError
from distilleak.guards import sealed_json

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"


def refused(content: Any, directory: Path) -> str:
    with pytest.raises(DistilleakError) as error:
        verdict(content, directory)
    line = str(error.value)
    assert line.startswith(f"{directory / 'verdict.json'}: ")
    assert "\n" not in line
    return line.removeprefix(f"{directory / 'verdict.json'}: ")


def place(content: Any, key: str) -> tuple[Any, str | int]:
    """What holds the value at `key`, as in "models.0.auc", and its last part."""
    *above, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    for part in above:
        content = content[part]
    return content, last


def test_the_example_has_one_candidate_of_each_verdict_and_two_other_models() -> None:
    found = read(EXAMPLE)
    assert [model.verdict for model in found.students()] == ["pass", "fail", "investigate"]
    assert [model.role for model in found.models[3:]] == ["teacher", "base"]
    assert found.models[1].tpr.value == example()["models"][1]["tpr"]["value"]


@pytest.mark.parametrize("content", [closed(), alone(), without_numbers()])
def test_what_an_audit_may_find_is_read(content: dict[str, Any], tmp_path: Path) -> None:
    assert verdict(content, tmp_path).model_dump() == {
        key: value for key, value in content.items() if key != "schema"
    }


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused(version: Any, tmp_path: Path) -> None:
    assert refused(example(schema=version), tmp_path) == (
        f"key 'schema' is {version!r}, and this version reads 1; judge the audit again"
    )


def test_a_file_without_a_version_is_refused(tmp_path: Path) -> None:
    content = example()
    del content["schema"]
    assert refused(content, tmp_path).startswith("key 'schema' is missing")


@pytest.mark.parametrize(
    "key",
    [
        *(key for key in example() if key != "schema"),
        "records.members",
        "blind.passed",
        "blind.explanation",
        "policy.max_auc",
        "models.0.name",
        "models.2.more_records",
        "models.3.epsilon.delta",
        "models.4.versus.blind",
        "models.1.attacks.0.tpr",
        "models.1.attacks.0.auc.low",
    ],
)
def test_a_key_that_is_missing_is_named(key: str, tmp_path: Path) -> None:
    content = example()
    holder, last = place(content, key)
    del holder[last]
    assert refused(content, tmp_path) == f"no key {key!r}; judge the audit again"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("verdict", "maybe"),
        ("reasons", "one"),
        ("models", []),
        ("models.0.role", "pupil"),
        ("models.0.auc.value", "0.5"),
        ("models.0.auc.value", float("nan")),
        ("models.0.auc.high", float("inf")),
        ("models.0.verdict", "PASS"),
        ("records.members", 10.5),
        ("records.members", -1),
        ("blind.passed", "yes"),
        ("left_out", ["rmia"]),
    ],
)
def test_a_value_of_another_kind_is_named(key: str, value: Any, tmp_path: Path) -> None:
    content = example()
    holder, last = place(content, key)
    holder[last] = value
    assert refused(content, tmp_path).startswith(f"key {key!r}: ")


@pytest.mark.parametrize("content", [[], "pass", None])
def test_what_is_no_object_is_refused(content: Any, tmp_path: Path) -> None:
    assert refused(content, tmp_path).startswith("not an object with keys")


def test_a_key_that_a_later_version_added_is_passed_over(tmp_path: Path) -> None:
    content = example(later=1)
    content["models"][0]["auc"]["level"] = 0.9
    assert verdict(content, tmp_path) == read(EXAMPLE)


def test_a_file_that_is_missing_damaged_or_changed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "verdict.json"
    with pytest.raises(DistilleakError, match=re.escape(f"{file}: no such file")):
        read(file)
    file.write_text('{"schema": 1,')
    with pytest.raises(DistilleakError, match=re.escape(f"{file}: damaged JSON file")):
        read(file)
    sealed_json.write(example(), file)
    assert isinstance(read(file), Verdict)
    file.write_text(json.dumps(example(verdict="pass")))
    with pytest.raises(DistilleakError, match=re.escape(str(file))):
        read(file)


def test_the_documented_example_is_of_this_schema(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)
    content = json.loads(block)
    assert verdict(content, tmp_path).model_dump() == {
        key: value for key, value in content.items() if key != "schema"
    }
