"""What a study computes, from its configuration alone, without Snakemake."""

from typing import Any

import pytest
from small_study import small_plan

from distilleak.errors import DistilleakError
from distilleak.study.plan import SHADOW_SEEDS, Ensemble, Reads, Undone

STUDENTS: dict[str, Any] = {
    "kd": {},
    "kd_1": {"early": {"of": "kd", "epoch": 1}},
    "red_list": {},
    "softer": {"method": "red_list", "alpha": 0.3},
    "red_kept": {"method": "red_list", "penalty": 7.0},
    "red_early": {"early": {"of": "red_kept", "epoch": 2}},
    "public": {},
    "safe": {"method": "public", "teacher": "private"},
    "alone": {"method": "no_teacher"},
}
CHANGES: dict[str, Any] = {
    "pools__public": 80,
    "training__student__epochs": 3,
    "teachers": {"private": {"epochs": 2}},
    "methods": STUDENTS,
}


def test_each_student_is_made_by_one_rule() -> None:
    plan = small_plan(**CHANGES)
    assert plan.trained == ["softer", "public", "safe", "alone"]
    assert plan.kept == {"kd", "red_kept"}
    assert {name: (early.of, early.epoch) for name, early in plan.early.items()} == {
        "kd_1": ("kd", 1),
        "red_early": ("red_kept", 2),
    }
    # No kd has the alpha of `softer`, and `red_kept` has its own number of epochs.
    assert plan.finished == {"red_list": "kd"}
    made = [*plan.trained, *plan.kept, *plan.early, *plan.finished]
    assert sorted(made) == sorted(plan.study.students)


def test_a_student_is_finished_only_from_one_that_is_trained_alike() -> None:
    methods = {
        "kd": {},
        "red_list": {"training": {"epochs": 2}},
        "temperature": {"student": {"layers": 2}},
        "red_list_3": {"method": "red_list", "penalty": 3.0},
    }
    assert small_plan(methods=methods).finished == {"red_list_3": "kd"}


def test_ensembles_are_distinguished_by_kind_and_not_by_name() -> None:
    methods = {"kd": {}, "no_teacher": {}, "nonorm": {}}
    plan = small_plan(
        methods=methods,
        ensembles={"subsets": {"vote": ["kd", "nonorm"], "mixture": ["no_teacher", "kd"]}},
    )
    assert plan.votes == ["vote-vote", "vote-mixture"]
    assert plan.mixtures == ["mixture-vote", "mixture-mixture"]
    inside = ("kd", "nonorm")
    assert plan.ensembles["mixture-vote"] == Ensemble("mixture-vote", "mixture", inside, inside)
    assert plan.mixed == ["kd", "nonorm", "no_teacher"]
    assert plan.scored == ["teacher", *methods, *plan.votes, *plan.mixtures]
    assert (plan.undone, plan.stripped, plan.undone_mixtures) == ({}, {}, [])


MAP = ("output_map",)


def test_an_undone_student_is_the_one_that_it_was_made_from() -> None:
    methods = {
        "kd": {},
        "red_list": {},
        "flat": {"method": "temperature"},
        "taught": {"method": "red_list", "where": "teacher"},
        "nonorm": {},
        "both": {"method": "combination", "of": [{"method": "nonorm"}, {"method": "red_list"}]},
    }
    plan = small_plan(methods=methods)
    assert plan.undone == {
        "red_list": Undone("red_list-undone", "red_list", MAP, "kd"),
        "flat": Undone("flat-undone", "flat", MAP, "kd"),
        "both": Undone("both-undone", "both", MAP, "nonorm"),
    }
    # No job more than without them.
    assert plan.stripped == {}
    assert plan.scored == ["teacher", *methods]


def test_a_student_that_was_made_from_none_is_stripped() -> None:
    both = {"method": "combination", "of": [{"method": "nonorm"}, {"method": "temperature"}]}
    plan = small_plan(
        training__student__epochs=3,
        methods={
            "kd": {},
            "softer": {"method": "red_list", "alpha": 0.3},
            "kept": {"method": "red_list"},
            "early": {"early": {"of": "kept", "epoch": 1}},
            "both": both,
        },
    )
    assert plan.undone == plan.undone_students
    assert {name: undone.attacked for name, undone in plan.undone.items()} == {
        # `kept` is trained by itself, although kd is trained alike: its epochs have the map.
        name: f"{name}-undone"
        for name in ("softer", "kept", "early", "both")
    }
    assert list(plan.stripped) == ["softer-undone", "kept-undone", "early-undone", "both-undone"]
    assert plan.scored == ["teacher", *plan.study.students, *plan.stripped]


def test_ensembles_are_attacked_undone() -> None:
    methods = {"kd": {}, "red_list": {}, "alone": {"method": "temperature", "alpha": 0.1}}
    plan = small_plan(
        methods=methods,
        ensembles={"subsets": {"all": list(methods), "plain": ["kd", "alone"]}},
    )
    inside, without = tuple(methods), ("kd", "kd", "alone-undone")
    assert list(plan.ensembles.values())[:1] == [Ensemble("vote-all", "vote", inside, without)]
    assert plan.ensembles["mixture-all"].attacked == inside
    twin = plan.ensembles["mixture-all-undone"]
    assert twin == Ensemble("mixture-all-undone", "mixture", inside, without, "mixture-all")
    assert plan.undone_mixtures == ["mixture-all-undone", "mixture-plain-undone"]
    assert plan.undone["mixture-all"] == Undone(twin.name, "mixture-all", MAP, twin.name)
    # kd stands for red_list, and no model is queried twice.
    assert plan.mixed == ["kd", "red_list", "alone", "alone-undone"]
    assert plan.scored == ["teacher", *methods, "alone-undone", *plan.ensembles]


def test_no_ensemble_has_the_name_of_an_undone_student() -> None:
    with pytest.raises(DistilleakError, match=r"subsets\.undone: this name is taken"):
        small_plan(ensembles={"subsets": {"undone": ["kd", "nonorm"]}})


def test_what_no_attack_needs_is_not_computed() -> None:
    plan = small_plan(attacks={"loss": {}}, references=4, shadows=4)
    assert (plan.references, plan.shadows, plan.counts_tokens) == ([], [], False)
    assert plan.views["compute_evidence"] == ["plain", "tempered"]
    assert plan.attacked_views == ["plain"]
    plan = small_plan(
        pools__population=40,
        shadows=4,
        canaries={"each": 2},
        attacks={"loss": {}, "recall": {}, "rmia": {}, "lira_online": {}},
    )
    assert plan.references == ["reference-0", "reference-1", "reference-2", "reference-3"]
    assert plan.shadows == ["shadow-0", "shadow-1", "shadow-2", "shadow-3"]
    read = ["plain", "prefix_nonmember", "population", "candidates", "tempered"]
    assert plan.views == {
        "compute_evidence": read,
        "compute_mixture_evidence": read,
        "compute_reference_evidence": ["plain", "population"],
        "compute_teacher_evidence": ["plain"],
        "compute_shadow_evidence": ["plain"],
        "compute_shadow_mixture_evidence": ["plain"],
    }


def test_a_teacher_is_held_beside_the_students_that_learned_from_it() -> None:
    changes = {
        **CHANGES,
        "pools__population": 40,
        "ensembles": {
            "subsets": {"a": ["alone", "safe", "kd"], "b": ["kd", "red_list"]},
        },
    }
    plan = small_plan(**changes, attacks={"loss": {}, "joint": {}})
    assert plan.held_teachers == {
        **{name: "teacher" for name in STUDENTS if name not in ("safe", "alone")},
        "safe": "teacher-private",
        "mixture-a": "teacher-private",
        "mixture-b": "teacher",
        "mixture-b-undone": "teacher",
        **{undone.name: plan.held_teachers[undone.of] for undone in plan.stripped.values()},
    }
    assert plan.other_teachers == ["teacher-private"]
    assert plan.views["compute_teacher_evidence"] == ["plain", "population"]
    without = small_plan(**changes)
    assert (without.held_teachers, without.other_teachers) == ({}, [])


def test_evidence_depends_on_the_settings_of_its_own_views() -> None:
    plan = small_plan()
    plain = plan.evidence_settings(["plain"])
    assert not plain.keys() & {"shards", "prefix_tokens", "neighbours", "neighbour_share"}
    assert plan.evidence_settings(["plain", "prefix_member"])["prefix_tokens"] == 16
    assert plan.evidence_settings(["neighbour"]).keys() - plain.keys() == {
        "neighbours",
        "neighbour_share",
    }


def test_figures_without_numbers_are_left_out() -> None:
    everything = small_plan(canaries={"each": 2}, pools__design="factorial").figures
    assert {"exposure", "effects"} <= set(everything)
    assert set(everything) - set(small_plan().figures) == {"exposure", "effects"}


@pytest.mark.parametrize(
    ("student", "changes", "expected"),
    [
        ("kd", {}, Reads(True, False, False, False)),
        ("kd", {"distillation": {"stored_gib": 0.0}}, Reads(False, True, False, False)),
        ("alone", {}, Reads(False, False, False, False)),
        ("public", {}, Reads(False, True, False, False)),
        ("safe", {}, Reads(False, True, False, False)),
        ("red_list", {}, Reads(True, False, True, False)),
        (
            "kd",
            {"pairs__small__student": {"init": "teacher_layers", "layers": 1}},
            Reads(True, True, False, False),
        ),
        (
            "alone",
            {"pairs__small__student": {"init": "teacher_layers", "layers": 1}},
            Reads(False, False, False, True),
        ),
    ],
)
def test_a_student_reads_only_what_its_method_needs(
    student: str, changes: dict[str, Any], expected: Reads
) -> None:
    plan = small_plan(**CHANGES, **changes)
    assert plan.lesson(student, plan.study.arms["small"]) == expected
    assert plan.teacher(student) == ("teacher-private" if student == "safe" else "teacher")


def test_seeds_of_trainings_and_splits() -> None:
    plan = small_plan(seeds=[3, 4])
    assert [plan.training_seed(seed) for seed in ("3", "4", "4/shadow-0", "4/shadow-2")] == [
        3,
        4,
        4 + SHADOW_SEEDS,
        4 + 3 * SHADOW_SEEDS,
    ]
    assert plan.split_seed(4) == 4
    assert small_plan(seeds=[3, 4], training_seed=9).training_seed("4/shadow-0") == 9 + SHADOW_SEEDS
    assert small_plan(seeds=[3, 4], split_seed=9).split_seed(4) == 9
