"""What the rules request from a machine: separate GPUs, and evidence in several jobs."""

import re
from collections import Counter
from pathlib import Path

import pytest
from workflow_project import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.new(tmp_path_factory.mktemp("machines") / "project")


def commands(project: Project, *options: str) -> str:
    """The commands that a dry run would give."""
    done = project.snakemake(
        "--dry-run", "--printshellcmds", "--configfile", "study.yaml", *options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_jobs_take_gpus_only_where_gpus_are_counted(project: Project) -> None:
    assert "distilleak.machine.gpus" not in commands(project)
    counted = commands(project, "--profile", "profiles/local", "--resources", "gpu=3")
    stages = re.findall(
        r"python -m distilleak\.machine\.gpus --of 3 --take 1 python -m distilleak (\w+) ", counted
    )
    assert Counter(stages) == {
        "train_model": 2,
        "store_targets": 1,
        "train_student": 4,
        "compute_evidence": 7,
    }
    assert counted.count("distilleak.machine.gpus") == len(stages)


def test_a_training_on_several_gpus_takes_them_together(project: Project) -> None:
    counted = commands(
        project,
        "--profile",
        "profiles/local",
        "--resources",
        "gpu=4",
        "--config",
        "hardware={gpus: 2}",
    )
    assert counted.count("distilleak.machine.gpus --of 4 --take 2 torchrun") == 6
    assert counted.count("distilleak.machine.gpus --of 4 --take 1 python") == 8


def test_sharded_evidence_is_one_job_per_shard_and_a_join_for_every_view(project: Project) -> None:
    one = commands(project)
    three = commands(project, "--config", "evidence={shards: 3}")
    parts = Counter(re.findall(r"--part (\d-of-3) ", three))
    assert set(parts) == {"1-of-3", "2-of-3", "3-of-3"}
    assert set(parts.values()) == {one.count("distilleak compute_evidence")}
    assert "--part" not in one
    # six models are queried on the text, plainly and tempered, and a reference plainly
    assert three.count("distilleak join_evidence") == 2 * 6 + 1


def test_the_profiles_name_no_account_and_no_partition() -> None:
    profile = (Path(Project.ROOT) / "profiles/slurm/config.yaml").read_text()
    assert not re.search(r"^\s*slurm_(account|partition):", profile, re.MULTILINE)
