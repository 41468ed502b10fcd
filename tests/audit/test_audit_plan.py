"""What an audit runs, and why the rest is left out."""

from typing import Any

import pytest

from distilleak import catalogue
from distilleak.audit import reading
from distilleak.audit.plan import Plan
from distilleak.errors import DistilleakError
from distilleak.study import finished

MODELS = {"teacher": {"directory": "t"}, "v1": {"directory": "one"}, "v2": {"directory": "two"}}
TEXTS = {"members": "m.jsonl", "nonmembers": "n.jsonl"}


def planned(monkeypatch: pytest.MonkeyPatch, same: bool | None = True, **audit: Any) -> Plan:
    monkeypatch.setattr(finished, "same_tokenizer", lambda one, other: same)
    attacks = audit.pop("attacks", None)
    raw = {"study": "a", "audit": {"models": MODELS, **TEXTS, **audit}}
    return reading.read({"a.yaml": raw if attacks is None else {**raw, "attacks": attacks}})


def test_without_base_and_further_texts_attacks_on_the_model_alone_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = planned(monkeypatch)
    alone = {"loss", "zlib", "min_k", "min_k_pp", "surp", "lowercase"}
    assert {*plan.attacks_on("v1")} == alone
    assert {*plan.attacks_on("v1")} | {*plan.left_out} == {*catalogue.names("attacks")}
    assert plan.left_out["reference_base"].endswith("(audit.base)")
    assert plan.left_out["recall"].endswith("(audit.auxiliary)")
    assert plan.left_out["lira_online"] == "needs shadow models, and an audit trains none"
    assert plan.views("v1") == ["lower", "plain"]
    assert not plan.queries_base("v1")


def test_the_base_is_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(monkeypatch, base={"directory": "b"}, auxiliary="x.jsonl")
    for model in ("v1", "teacher"):
        assert {"reference_base", "ez_mia", "rmia", "recall", "dc_pdd"} <= {*plan.attacks_on(model)}
        assert plan.queries_base(model)
        assert plan.counts_tokens(model)
    assert "joint" in plan.attacks_on("v1")
    assert "joint" not in plan.attacks_on("teacher")
    assert plan.teacher_views("v1") == plan.base_views("v1") == ["plain", "population"]
    assert "reference_base" not in plan.attacks_on("base")
    assert {*plan.models} == {"teacher", "v1", "v2", "base"}
    assert "joint" not in plan.left_out


def test_attacks_that_are_not_named_are_left_out_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(monkeypatch, attacks={"loss": None, "short": {"attack": "min_k", "k": 0.1}})
    assert {*plan.attacks_on("v1")} == {"loss", "short"}
    assert {*plan.left_out} == {*catalogue.names("attacks")} - {"loss", "min_k"}
    assert plan.left_out["zlib"] == "is not named under `attacks`"


def test_models_that_read_other_tokens_are_not_compared_token_by_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = planned(monkeypatch, same=False, base={"directory": "b"})
    assert "reference_base" not in plan.attacks_on("v1")
    assert "reads other tokens" in plan.left_out["reference_base"]
    assert "min_k_pp" in plan.attacks_on("v1")


def test_base_and_teacher_are_queried_once_for_all_that_read_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"base": {"directory": "b"}, "auxiliary": "x.jsonl"}
    plan = planned(monkeypatch, **given)
    assert plan.base_evidence("v2") == plan.base_evidence("teacher") == "base/evidence"
    assert plan.teacher_evidence("v1") == plan.teacher_evidence("v2") == "teacher/evidence"
    apart = planned(monkeypatch, False, **given, models={**MODELS, "v3": {"directory": "two"}})
    assert apart.readers == {name: name for name in apart.models} | {"v3": "v2"}
    assert apart.base_evidence("v3") == apart.base_evidence("v2") == "v2/base/evidence"
    assert apart.base_evidence("v1") == "v1/base/evidence"
    assert apart.teacher_evidence("v3") == "v2/teacher/evidence"


def test_the_base_is_queried_for_all_that_attacks_on_others_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {"base": {"directory": "b"}, "auxiliary": "x.jsonl"}
    attacks = {"loss": None, "rmia": None}
    shared = planned(monkeypatch, **given, attacks=attacks)
    assert {*shared.attacks_on("base")} == {"loss"}
    assert shared.views("base") == ["plain", "population"]
    apart = planned(monkeypatch, False, **given, attacks=attacks)
    assert apart.views("base") == ["plain"]


def test_of_models_that_only_loading_can_compare_each_gets_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = {"v1": {"hub": "a/b"}, "v2": {"hub": "c/d"}, "v3": {"hub": "a/b"}}
    plan = planned(monkeypatch, None, base={"gguf": "b.gguf"}, models=models)
    assert plan.base_evidence("v1") == plan.base_evidence("v3") == "v1/base/evidence"
    assert plan.base_evidence("v2") == "v2/base/evidence"


@pytest.mark.parametrize(
    ("audit", "message"),
    [
        ({"models": {"teacher": {"directory": "t"}}}, "besides `teacher` an audit needs a student"),
        ({"models": {"base": {"directory": "t"}}}, "say it as audit.base"),
        ({"models": {}}, "audit.models: should not be empty"),
        ({"models": {"v1": {"directory": "a", "hub": "b"}}}, "give exactly one of"),
        ({"models": {"A b": {"directory": "a"}}}, "audit.models.A b: "),
        ({"attacks": {"lira_online": None}}, "attacks: none of them can run on teacher: lira_on"),
        ({"member": "x"}, "audit.member: unknown key; did you mean 'members'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, audit: dict[str, Any], message: str
) -> None:
    with pytest.raises(DistilleakError) as refused:
        planned(monkeypatch, **audit)
    assert str(refused.value).startswith("a.yaml: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
