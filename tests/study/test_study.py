"""A configuration is parsed once: each mapping is validated once, whatever is derived from it."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from distilleak.study import reading, roles, yaml_text
from distilleak.study.plan import Plan

CONFIG = Path(__file__).parents[2] / "config"
STUDIES = sorted({*CONFIG.glob("*.yaml")} - {CONFIG / "audit.yaml"})


def derive_everything(plan: Plan) -> None:
    """Everything that the rules and the forecast need."""
    for name, value in vars(Plan).items():
        if not name.startswith("_") and not callable(value):
            getattr(plan, name)
    for rule, views in plan.views.items():
        assert plan.evidence_settings(views), rule
    for student in plan.study.students:
        plan.teacher(student)
        for arm in plan.study.arms.values():
            plan.lesson(student, arm)
    roles.roster(plan)
    plan.study.uses_hub()
    plan.study.complete()


def mappings(raw: dict[str, Any]) -> int:
    """The mappings besides the sections of a configuration: entries, their parts and their own
    settings, which are validated for each pair whose student they change."""
    entries = [entry or {} for entry in raw["methods"].values()]
    own = sum(
        len(entry.get("of", ())) + ("training" in entry) + len(raw["pairs"]) * ("student" in entry)
        for entry in entries
    )
    pools = sum("pools" in corpus for corpus in raw.get("corpora", {}).values())
    texts = list(raw.get("corpora", {}).values()) or [raw["corpus"]]
    texts += [base["corpus"] for base in raw.get("bases", {}).values()]
    corpora = len(texts) + sum("only" in corpus for corpus in texts)
    # A base of the package is an entry of its recipe, with the conditions on its texts.
    roles = [role for pair in raw["pairs"].values() for role in pair.values()]
    shipped = {role["base"] for role in roles if "base" in role} - set(raw.get("bases", {}))
    others = len(raw["attacks"]) + len(raw.get("teachers", {}))
    return len(entries) + own + others + corpora + pools + 2 * len(shipped)


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_each_entry_is_validated_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validated: Counter[str] = Counter()
    validate = BaseModel.model_validate.__func__  # type: ignore[attr-defined]
    construct = BaseModel.__init__

    def name(kind: type[BaseModel]) -> str:
        return f"{kind.__module__}.{kind.__name__}"

    def counted(kind: type[BaseModel], *arguments: Any, **named: Any) -> Any:
        validated[name(kind)] += 1
        return validate(kind, *arguments, **named)

    # Calling the class validates, too.
    def constructed(self: BaseModel, **named: Any) -> None:
        validated[name(type(self))] += 1
        construct(self, **named)

    raw = yaml_text.read_yaml(file)
    reading.load(raw, {str(file): raw})  # imports all modules, which make their own defaults
    monkeypatch.setattr(BaseModel, "model_validate", classmethod(counted))
    monkeypatch.setattr(BaseModel, "__init__", constructed)
    derive_everything(Plan(reading.load(raw, {str(file): raw})))
    made = [kind for kind in validated if kind.startswith("distilleak.tables.roster.")]
    assert made, "the roster is made, which no configuration holds"
    for kind in (*made, "distilleak.study.configuration.Configuration"):
        assert validated.pop(kind) == 1 or kind in made
    assert validated.total() == mappings(raw)


def test_a_study_cannot_be_changed() -> None:
    raw = yaml_text.read_yaml(CONFIG / "smoke.yaml")
    study = reading.load(raw, {"smoke": raw})
    with pytest.raises(AttributeError):
        study.arms = {}  # type: ignore[misc]
    with pytest.raises(AttributeError):
        study.students["kd"].teacher = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        study.students["kd"] = study.students["red_list"]  # type: ignore[index]
