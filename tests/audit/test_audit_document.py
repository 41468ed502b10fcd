"""docs/audit.md says what the settings are."""

import re
from pathlib import Path

import yaml

from distilleak.audit.command import STATUS
from distilleak.settings.policy import PolicySettings

TEXT = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.split(r"(?m)^## ", TEXT.split(f"\n## {title}\n")[1])[0]


def test_the_table_of_the_policy_has_every_key_with_its_default() -> None:
    found = re.findall(r"^\| `(\w+)` \| (\S+) \|", section("The policy"), re.M)
    defaults = PolicySettings().model_dump()
    assert {key: yaml.safe_load(value) for key, value in found} == defaults
    assert [key for key, _ in found] == list(defaults)


def test_the_table_of_verdicts_has_the_exit_statuses() -> None:
    found = re.findall(r"^\| (\w+) \| (\d+) \|", section("Verdicts and exit statuses"), re.M)
    assert {name: int(status) for name, status in found} == STATUS


def test_the_pipeline_is_yaml_that_runs_the_audit() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", section("In a pipeline"), re.M | re.S)
    steps = yaml.safe_load(block)["jobs"]["audit"]["steps"]
    assert any("python -m distilleak audit " in step.get("run", "") for step in steps)
