"""Any name that a configuration may give works in the rules: in wildcards, paths and file names."""

import re
from pathlib import Path

import pytest
from workflow_project import Project

from distilleak.study.checks import LONGEST_NAME

WORDS = ("none", "all", "model", "evidence", "epochs", "reference", "targets", "shadow", "vote")
"""Names of students that also are words of the rules, of paths or of Python."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.new(tmp_path / "project")


def test_students_may_be_named_like_words_of_the_rules(project: Project) -> None:
    methods = {word: {"method": "kd", "alpha": 0.1 + 0.01 * at} for at, word in enumerate(WORDS)}
    project.configure(
        methods=methods,
        ensembles={"subsets": {"none": ["none", "all"], "model": ["model", "all"]}},
        attacks={"loss": {}, "none": {"attack": "min_k"}, "reference": {}},
    )
    jobs = project.reruns()
    assert jobs["train_student"] == len(WORDS)
    assert jobs["compute_evidence"] == len(WORDS) + 1
    assert jobs["score_attacks"] == len(WORDS) + 1 + 2
    assert jobs["score_vote"] == 2
    assert not {"train_kept_student", "take_epoch", "finish_student"} & jobs.keys()


def test_early_students_and_teachers_may_be_called_none(project: Project) -> None:
    project.configure(
        training__student__epochs=3,
        methods={
            "late": {"method": "kd"},
            "none": {"early": {"of": "late", "epoch": 1}},
            "other": {"method": "kd", "teacher": "none"},
        },
        teachers={"none": {"epochs": 2}},
        ensembles={"subsets": {}},
    )
    jobs = project.reruns()
    assert {name: jobs[name] for name in ("train_kept_student", "take_epoch")} == {
        "train_kept_student": 1,
        "take_epoch": 1,
    }
    assert jobs["train_other_teacher"] == 1
    assert jobs["train_student"] == 1


def test_the_longest_names_give_file_names_that_file_systems_take(project: Project) -> None:
    longest = "name_of_the_greatest_length_that_is_allowed_0123"
    assert len(longest) == LONGEST_NAME
    shape = {"layers": 1, "width": 16, "heads": 2, "positions": 48}
    project.configure(
        study="s" * 100,
        seeds=[2**32 - 1],
        corpus=None,
        corpora={longest: {"source": "sotu"}},
        pairs={longest.upper(): {"teacher": shape, "student": shape}},
        methods={"kd": {}, longest: {"method": "kd", "alpha": 0.1}},
        ensembles={"subsets": {longest: ["kd", longest]}},
        attacks={"loss": {}, longest: {"attack": "lira_online"}},
        shadows=4,
        evidence__shards=2,
    )
    done = project.snakemake("-n", "--printshellcmds", "--configfile", "study.yaml")
    assert done.returncode == 0, done.stderr
    # Inputs, outputs, logs and snapshots of all jobs, as their commands name them.
    paths = re.findall(r"results/[^\s,]+", done.stdout + done.stderr)
    names = {part for path in paths for part in Path(path).parts}
    # While a file is written, it has a longer name.
    assert 150 < max(map(len, names)) <= 255 - 40
    assert max(map(len, paths)) < 1000
