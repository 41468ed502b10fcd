"""The command line of an audit."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from distilleak.audit import command
from distilleak.audit.configuration import AuditConfiguration
from distilleak.errors import DistilleakError
from distilleak.stages import audit
from distilleak.study import reading


def arguments(*words: str) -> dict[str, Any]:
    needed = ["--members", "m.jsonl", "--nonmembers", "n.jsonl"]
    return vars(audit._parser().parse_args([*words, *needed]))


def test_students_have_the_names_of_their_places_or_names_of_their_own() -> None:
    found = command.students(
        ["out/My Model-7/", "v2=x.gguf", "hub:org/Small", "runs/lr=0.1/m", "v3=runs/lr=0.1/m"]
    )
    assert found == {
        "my_model-7": {"directory": "out/My Model-7/"},
        "v2": {"gguf": "x.gguf"},
        "small": {"hub": "org/Small"},
        "m": {"directory": "runs/lr=0.1/m"},
        "v3": {"directory": "runs/lr=0.1/m"},
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a/model", "b/model"], "--student b/model: another student is called 'model'"),
        (["teacher=x"], "'teacher' is the name of another model; say NAME=PLACE"),
        (["v1="], "--student v1=: no place after the name; say NAME=PLACE"),
        ([""], "--student : no place after the name"),
        (["x/base"], "'base' is the name of another model"),
    ],
)
def test_names_that_are_taken_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(DistilleakError, match=message):
        command.students(words)


def test_a_command_line_becomes_a_configuration_file(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("{}\n")
    (given,) = command.sources(
        arguments("--student", "v1=one", "--teacher", "t", "--base", "b", "--context", "128")
    ).values()
    file = tmp_path / "deep" / "audit.yaml"
    command.write(given, file)
    assert yaml.safe_load(file.read_text()) == {
        "study": "audit",
        "audit": {
            "models": {"teacher": {"directory": "t"}, "v1": {"directory": "one"}},
            "members": "m.jsonl",
            "nonmembers": "n.jsonl",
            "base": {"directory": "b"},
        },
        "encoding": {"context": 128},
    }
    assert reading.is_audit({"file": given})
    checked = AuditConfiguration.model_validate(given)
    assert checked.gate.on_failure == "report"
    every = command.sources(arguments("--student", "v1=one", "--policy", str(policy)))
    assert every[str(policy)] == {"policy": {}}
