"""Bases in the workflow: trained once for all draws, and their texts are in no private pool."""

import shutil
from copy import deepcopy
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from workflow_project import SMALL, Project

WORDS = [f"word{number}" for number in range(600)]
SHAPE = {"type": "gpt_neox", "layers": 1, "width": 16, "heads": 2, "positions": 64}


def text(seed: int, words: int = 60) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


@pytest.fixture(scope="module")
def based(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small study with pairs that start from bases, as if it had run."""
    project = Project.new(tmp_path_factory.mktemp("based") / "project")
    study = yaml.safe_load(SMALL)
    base = {
        "model": SHAPE,
        "corpus": {"source": "sotu", "only": {"before": 1950}},
        "training": {"epochs": 1, "row": 32},
    }
    study |= {
        "corpus": {"source": "sotu", "only": {"since": 1950}},
        "bases": {"large": base, "small": {**deepcopy(base), "seed": 1}},
        "pairs": {"tiny": {"teacher": {"base": "large"}, "student": {"base": "small"}}},
    }
    project.file("study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    project.finish()
    return project


@pytest.fixture
def project(based: Project, tmp_path: Path) -> Project:
    return based.copy(tmp_path / "project")


def trained(jobs: dict[str, int]) -> dict[str, int]:
    return {rule: count for rule, count in jobs.items() if rule.startswith("train_")}


def test_another_draw_of_members_trains_no_base_again(project: Project) -> None:
    assert project.reruns() == {}
    project.configure(seeds=[0, 1])
    jobs = project.reruns()
    assert trained(jobs) == {"train_teacher": 1, "train_student": 4, "train_reference": 1}
    assert "load_corpus" not in jobs
    project.configure(seeds=[0], pools__member=70)
    assert "train_base" not in project.reruns()


def test_where_no_attack_needs_a_reference_the_base_is_none(project: Project) -> None:
    project.configure(references="base", attacks={"loss": {}})
    jobs = project.reruns()
    assert "score_attacks" in jobs
    # Nor does it matter then whether the models start from one.
    shape = {"layers": 1, "width": 16, "heads": 2, "positions": 48}
    project.configure(pairs={"tiny": {"teacher": shape, "student": shape}}, bases={})
    assert "train_reference" not in project.reruns()


def test_a_base_that_is_trained_otherwise_reaches_what_starts_from_it_alone(
    project: Project,
) -> None:
    project.configure(bases__large__training__learning_rate=0.003)
    jobs = project.reruns()
    assert trained(jobs)["train_base"] == 1
    assert trained(jobs)["train_teacher"] == 1
    # References start from the student's base.
    assert "train_reference" not in jobs
    assert not {"load_corpus", "load_base_texts", "encode_records", "measure_floors"} & {*jobs}


def test_other_texts_of_a_base_reach_everything(project: Project) -> None:
    for name in ("large", "small"):
        project.configure(**{f"bases__{name}__corpus__only__before": 1900})
    jobs = project.reruns()
    assert jobs["train_base"] == 2
    assert jobs["load_base_texts"] == jobs["load_corpus"] == jobs["encode_records"] == 1


def test_a_missing_base_is_trained_again(project: Project) -> None:
    shutil.rmtree(project.file("results/small/bases/small/model"))
    assert project.reruns()["train_base"] == 1


def test_no_text_of_a_base_is_in_any_private_pool(tmp_path: Path) -> None:
    project = Project.new(tmp_path / "project")
    public = [text(seed) for seed in range(150)]
    private = [text(1000 + seed) for seed in range(330)]
    copies = [
        public[0],  # the same
        public[1].upper(),  # a near copy: the same words
        f"{public[2]} with another end",
        # Alike as far as models read, and different behind the cut.
        f"{' '.join(public[3].split()[:12])} {text(5000, 200)}",
    ]
    project.file("public.txt").write_text("\n\n".join(public))
    project.file("private.txt").write_text("\n\n".join([*copies, *private]))
    study = yaml.safe_load(SMALL)
    base = {
        "model": SHAPE,
        "corpus": {"source": "local", "path": "public.txt"},
        "training": {"epochs": 1, "row": 32, "holdout": 10},
    }
    study |= {
        "corpus": {"source": "local", "path": "private.txt"},
        "pools": {"member": 91, "nonmember": 80, "holdout": 40, "auxiliary": 120},
        "bases": {"own": base},
        "pairs": {"tiny": {"teacher": {"base": "own"}, "student": {"base": "own"}}},
    }
    project.file("study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    records = "results/small/seed-0/tiny/records.parquet"
    done = project.snakemake("--configfile", "study.yaml", "--cores", "2", records)
    assert done.returncode == 0, done.stdout + done.stderr
    passages = pq.read_table(project.file("results/small/passages.parquet"))["text"].to_pylist()
    # The last copy becomes one only by the cut.
    assert sorted(passages) == sorted([*copies[3:], *private])
    found = pq.read_table(project.file(records))["text"].to_pylist()
    assert len(found) == 330
    for beginning in (" ".join(words.split()[:8]).lower() for words in public):
        assert not any(record.lower().startswith(beginning) for record in found)
