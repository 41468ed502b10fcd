"""config/audit.schema.json is what editors see of the configuration of an audit."""

import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from distilleak.audit import reading
from distilleak.audit.schema import schema
from distilleak.stages.write_schema import main

CONFIG = Path(__file__).parents[2] / "config"
TEXT = (CONFIG / "audit.yaml").read_text(encoding="utf-8")


def problems(configuration: Any) -> list[str]:
    jsonschema.Draft202012Validator.check_schema(schema())
    return [e.message for e in jsonschema.Draft202012Validator(schema()).iter_errors(configuration)]


def example(**audit: Any) -> Any:
    found = yaml.safe_load(TEXT)
    found["audit"] |= audit
    return found


def test_the_file_is_what_the_settings_say(tmp_path: Path) -> None:
    main(["--audit", "--output", str(tmp_path / "schema.json")])
    written = (tmp_path / "schema.json").read_text()
    assert written == (CONFIG / "audit.schema.json").read_text(), (
        "run: python -m distilleak write_schema --audit --output config/audit.schema.json"
    )


def test_the_example_fits_and_can_be_planned() -> None:
    assert TEXT.startswith("# yaml-language-server: $schema=audit.schema.json\n")
    assert problems(example()) == []
    plan = reading.read({"config/audit.yaml": example()})
    assert [*plan.models] == ["sotu_small"]
    # What stands in comments can be used as it is.
    complete = yaml.safe_load(re.sub(r"(?m)^( +)# ", r"\1", TEXT))
    assert {"base", "auxiliary"} <= complete["audit"].keys()
    assert {"teacher", "v2"} <= complete["audit"]["models"].keys()
    assert problems(complete) == []


def test_several_ways_to_say_it_fit() -> None:
    assert problems(example(members=["a.jsonl", "b.jsonl"], auxiliary={"path": "c.csv"})) == []
    assert problems(example() | {"attacks": {"short": {"attack": "min_k", "k": 0.1}}}) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"member": "a.jsonl"},
        {"members": 3},
        {"members": {"paths": "a.jsonl"}},
        {"models": {"V1": {"directory": "a"}}},
        {"models": {"v1": {"directory": "a", "apis": "b"}}},
    ],
)
def test_a_mistake_is_marked(wrong: dict[str, Any]) -> None:
    assert problems(example(**wrong))
