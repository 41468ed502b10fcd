"""Students that need no separate training, further teachers, and what runs when they change."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from workflow_project import FIGURES, Project

METHODS: dict[str, Any] = {
    "kd": {},
    "kd_1": {"early": {"of": "kd", "epoch": 1}},
    "red_list": {},
    "softer": {"method": "red_list", "alpha": 0.3},
    "public": {},
    "safe": {"method": "public", "teacher": "private"},
    "safe_red": {"method": "combination", "of": [{"method": "red_list"}, {"method": "public"}]},
}
AGGREGATES = {"build_tables": 1, "draw_figure": FIGURES, "collect_costs": 1, "write_report": 1}
CONFIGURED = {**AGGREGATES, "write_config": 1}
EVIDENCE = {"compute_evidence": 1, "score_attacks": 1, "measure_metrics": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.new(tmp_path_factory.mktemp("frontier") / "project")
    study = yaml.safe_load(project.file("study.yaml").read_text())
    study["pools"]["public"] = 80
    study["training"]["student"]["epochs"] = 3
    study["teachers"] = {"private": {"privacy": {"epsilon": 8.0}}}
    study["methods"] = METHODS
    study["ensembles"] = {"subsets": {}}
    project.file("study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    project.finish()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    return finished.copy(tmp_path / "project")


def test_nothing_is_trained_twice(project: Project) -> None:
    jobs = project.reruns("--forceall")
    # No kd has the alpha of `softer`, so it is trained; the other trained students all differ.
    assert jobs["train_student"] == 3
    assert jobs["train_kept_student"] == jobs["take_epoch"] == 1
    # `red_list` is made from `kd`, and `safe_red` from `public`.
    assert jobs["finish_student"] == 2
    # Undone, the two are the students that they were made from; `softer` was made from none.
    assert jobs["undo_method"] == 1
    assert jobs["compute_evidence"] == jobs["score_attacks"] == jobs["measure_metrics"] == 9
    assert jobs["train_teacher"] == jobs["train_other_teacher"] == 1


EDITS: dict[str, tuple[Callable[[Project], None], dict[str, int]]] = {
    "one more early epoch": (
        lambda project: project.configure(methods__kd_2={"early": {"of": "kd", "epoch": 2}}),
        {"take_epoch": 1, **EVIDENCE, **CONFIGURED},
    ),
    "one more strength of what acts after training": (
        lambda project: project.configure(methods__red_5={"method": "red_list", "penalty": 5.0}),
        {"finish_student": 1, **EVIDENCE, **CONFIGURED},
    ),
    "one more of them that is made from no other student": (
        lambda project: project.configure(methods__flat={"method": "temperature", "alpha": 0.1}),
        {
            **{"train_student": 1, "undo_method": 1},
            **{"compute_evidence": 2, "score_attacks": 2, "measure_metrics": 2},
            **CONFIGURED,
        },
    ),
    "the budget of a further teacher": (
        lambda project: project.configure(teachers__private={"privacy": {"epsilon": 2.0}}),
        {"train_other_teacher": 1, "train_student": 1, **EVIDENCE, **CONFIGURED},
    ),
    "a split seed that is the seed": (
        lambda project: project.configure(split_seed=0),
        {"write_config": 1, "write_report": 1},
    ),
    "another seed on the same split": (
        lambda project: project.configure(seeds=[0, 1], split_seed=0),
        {
            "split_records": 1,
            "train_tokenizer": 1,
            "encode_records": 1,
            "audit_split": 1,
            "measure_floors": 1,
            "train_teacher": 1,
            "train_other_teacher": 1,
            "store_targets": 1,
            "find_vulnerable": 1,
            "train_reference": 1,
            "compute_reference_evidence": 1,
            "train_student": 3,
            "train_kept_student": 1,
            "take_epoch": 1,
            "finish_student": 2,
            "undo_method": 1,
            "compute_evidence": 9,
            "score_attacks": 9,
            "measure_metrics": 9,
            **CONFIGURED,
        },
    ),
}


@pytest.mark.parametrize("change", EDITS)
def test_jobs_after(change: str, project: Project) -> None:
    edit, expected = EDITS[change]
    edit(project)
    assert project.reruns() == expected


def test_all_seeds_have_the_split_of_the_split_seed(project: Project) -> None:
    project.configure(seeds=[3, 4], split_seed=9)
    done = project.snakemake("--dry-run", "--printshellcmds", "--configfile", "study.yaml")
    commands = [line for line in done.stdout.splitlines() if "distilleak split_records" in line]
    assert len(commands) == 2
    assert all("--seed 9 " in command for command in commands)
    trainings = [line for line in done.stdout.splitlines() if "--role teacher" in line]
    seeds = {re.findall(r"--seed (\d+) ", command)[0] for command in trainings}
    assert seeds == {"3", "4"}


def test_all_seeds_train_with_the_training_seed(project: Project) -> None:
    project.configure(seeds=[3, 4], training_seed=9)
    done = project.snakemake("--dry-run", "--printshellcmds", "--configfile", "study.yaml")
    lines = done.stdout.splitlines()
    splits = [line for line in lines if "distilleak split_records" in line]
    assert {re.findall(r"--seed (\d+) ", command)[0] for command in splits} == {"3", "4"}
    trainings = [line for line in lines if "distilleak train_" in line and "--snapshots" in line]
    assert len(trainings) > 10
    assert all("--seed 9 " in command for command in trainings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"seeds": [0, 1], "split_seed": 0, "training_seed": 0},
            "training_seed: with split_seed too, all seeds are the same study; leave one out",
        ),
        (
            {"methods__kd_1": {"early": {"of": "kdd", "epoch": 1}}},
            "methods.kd_1.early.of: no trained student 'kdd'; did you mean 'kd'?",
        ),
        (
            {"methods__kd_1": {"early": {"of": "kd", "epoch": 3}}},
            "methods.kd_1.early.epoch: 3, but kd ends after 3; allowed: 1 to 2",
        ),
        (
            {"methods__kd_1": {"early": {"of": "kd", "epoch": 1}, "alpha": 0.1}},
            "methods.kd_1.alpha: is that of the student that this is early of",
        ),
        (
            {"methods__kd_2": {"early": {"of": "kd_1", "epoch": 1}}},
            "methods.kd_2.early.of: no trained student 'kd_1'",
        ),
        (
            {"methods__safe": {"method": "public", "teacher": "privat"}},
            "methods.safe.teacher: no 'privat' among `teachers`; did you mean 'private'?",
        ),
        (
            {"methods__safe": {"method": "red_list", "teacher": "private"}},
            "methods.safe.teacher: this method needs the vulnerable members",
        ),
        (
            {"methods__safe": {"method": "no_teacher", "teacher": "private"}},
            "methods.safe.teacher: this method has no teacher",
        ),
        (
            {"teachers__private": {"epoch": 3}},
            "teachers.private.epoch: unknown key; did you mean 'epochs'?",
        ),
        (
            {"training__teacher__privacy": {"epsilon": -1}},
            "training.teacher.privacy.epsilon: ",
        ),
        (
            {"methods__safe": {"method": "bottleneck", "training": {"privacy": {"epsilon": 8.0}}}},
            "methods.safe.training.privacy: the projections that it changes are not private",
        ),
        (
            {
                "methods__safe": {
                    "method": "combination",
                    "of": [{"method": "nonorm"}, {"method": "public"}],
                    "training": {"privacy": {"epsilon": 8.0}},
                }
            },
            "methods.safe.training.privacy: the norms that it changes are not private",
        ),
        (
            {
                "methods__public": {"training": {"budget": "steps"}},
                "methods__public_1": {"early": {"of": "public", "epoch": 1}},
            },
            "methods.public_1.early.of: public has other records than the members and `budget: st",
        ),
        (
            {"methods__safe": {"method": "public", "teacher": ["private"]}},
            "methods.safe.teacher: no ['private'] among `teachers`",
        ),
        (
            {
                "methods__safe": {
                    "method": "nonvulnerable",
                    "training": {"privacy": {"epsilon": 8.0}},
                }
            },
            "methods.safe.training.privacy: which members are vulnerable is not private",
        ),
        ({"pools__public": 0}, "pools.public: 0, but methods.public trains on such records"),
    ],
)
def test_contradictory_settings_are_refused(
    changes: dict[str, Any], message: str, project: Project
) -> None:
    project.configure(**changes)
    done = project.snakemake("--dry-run", "--configfile", "study.yaml")
    assert done.returncode == 1
    assert f"error: study.yaml: {message}" in done.stdout + done.stderr
