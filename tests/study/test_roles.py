"""What is trivial, what is strong and what is a method, and how models are named."""

from typing import Any

import pytest
from small_study import small_plan, small_study

from distilleak.study import roles

STUDENTS: dict[str, Any] = {
    "kd": {},
    "kd_1": {"early": {"of": "kd", "epoch": 1}},
    "no_teacher": {},
    "faster": {"method": "kd", "training": {"learning_rate": 0.1}},
    "smaller": {"method": "kd", "student": {"width": 16}},
    "fewer": {"method": "subset", "share": 0.5},
    "larger": {"method": "kd", "student": {"layers": 2}},
    "private_kd": {"method": "kd", "training": {"privacy": {"epsilon": 8.0}}},
    "public": {},
    "other_teacher": {"method": "kd", "teacher": "private"},
    "nonorm": {},
    "nonorm_half": {"method": "nonorm", "share": 0.5},
    "nonorm_soft": {"method": "nonorm", "alpha": 0.1},
    "nonorm_long": {"method": "nonorm", "training": {"epochs": 4}},
    "both": {"method": "combination", "of": [{"method": "nonorm"}, {"method": "red_list"}]},
}
CHANGES: dict[str, Any] = {
    "pools__public": 80,
    "training__student__epochs": 3,
    "teachers": {"private": {"privacy": {"epsilon": 2.0}}},
    "methods": STUDENTS,
}


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        ("kd", "trivial"),
        ("kd_1", "trivial"),
        ("no_teacher", "trivial"),
        ("faster", "trivial"),
        ("smaller", "trivial"),
        ("fewer", "trivial"),
        ("larger", "strong"),
        ("private_kd", "strong"),
        ("public", "strong"),
        ("other_teacher", "strong"),
        ("nonorm", "method"),
        ("both", "method"),
    ],
)
def test_the_role_of_a_student(student: str, expected: str) -> None:
    assert roles.role(small_study(**CHANGES), student) == expected


def test_a_sweep_differs_in_strength_alone() -> None:
    study = small_study(**CHANGES)
    found = {name: roles.sweep(study, name) for name in STUDENTS}
    assert {name for name, sweep in found.items() if sweep} == {"nonorm", "nonorm_half"}
    assert found["nonorm"] == found["nonorm_half"] == "nonorm"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("teacher", "teacher"),
        ("private_kd", "private kd (epsilon 8)"),
        ("other_teacher", "other teacher (teacher epsilon 2)"),
        ("mixture-two", "mixture two"),
    ],
)
def test_a_label_holds_the_privacy_budget(model: str, expected: str) -> None:
    assert roles.label(small_study(**CHANGES), model) == expected


def test_the_roster_shows_all_models_of_every_pair_in_order() -> None:
    plan = small_plan(
        **CHANGES, ensembles={"kinds": ["vote"], "subsets": {"two": ["kd", "nonorm"]}}
    )
    roster = roles.roster(plan)
    assert list(roster.pairs) == ["small"]
    models = roster.pairs["small"].models
    names = ["teacher", *STUDENTS, "both-undone", "vote-two"]
    kinds = ["teacher", *["student"] * len(STUDENTS), "undone", "vote"]
    assert [model.model for model in models] == names
    assert [model.kind for model in models] == kinds
    assert models[-1].members == ["kd", "nonorm"]
    assert models[-3].method == "combination"
    assert roster.pairs["small"].vocabulary == 2048
    assert roster.attacks == ["loss", "reference", "recall"]


def test_the_roster_shows_an_undone_model_behind_the_released_one() -> None:
    methods = {"kd": {}, "red_list": {}, "alone": {"method": "temperature", "alpha": 0.1}}
    ensembles = {"kinds": ["vote", "mixture"], "subsets": {"two": ["kd", "red_list"]}}
    plan = small_plan(methods=methods, ensembles=ensembles)
    models = roles.roster(plan).pairs["small"].models
    found = [(m.model, m.label, m.of, m.undoing, m.source) for m in models if m.kind == "undone"]
    assert found == [
        ("red_list-undone", "red list without map", "red_list", "without map", "kd"),
        ("alone-undone", "alone without map", "alone", "without map", "alone-undone"),
        (
            *("mixture-two-undone", "mixture two without map", "mixture-two", "without map"),
            "mixture-two-undone",
        ),
    ]
    order = [model.model for model in models]
    assert all(order.index(m.model) == order.index(m.of) + 1 for m in models if m.kind == "undone")
    assert models[-1].members == ["kd", "red_list"]
    assert {model.source for model in models} == set(plan.scored)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "split and training"),
        ({"seeds": [0, 1]}, "split and training"),
        ({"split_seed": 3}, "split and training"),
        ({"seeds": [0, 1], "split_seed": 3}, "training"),
        ({"seeds": [0, 1], "training_seed": 3}, "split"),
    ],
)
def test_what_seeds_differ_in(changes: dict[str, Any], expected: str) -> None:
    assert roles.roster(small_plan(**changes)).differing == expected
