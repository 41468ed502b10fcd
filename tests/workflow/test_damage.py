"""A file that has changed or is gone is named, and what the message says mends the study.

Snakemake does not look into directories: a file that is deleted inside one is not made again.
"""

import hashlib
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from workflow_project import Project

SEED = "results/small/seed-0"
PAIR = f"{SEED}/tiny"
TARGETS = (
    f"{PAIR}/early/model",
    f"{PAIR}/teacher/metrics.parquet",
    f"{PAIR}/teacher/targets.npy",
)
TEACHER, EPOCHS = "tiny/teacher/model", "tiny/kd/epochs"
COMMAND = ("--cores", "2", "--configfile", "study.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A teacher that has been measured, and a student at an early epoch."""
    project = Project.new(tmp_path_factory.mktemp("damage") / "project")
    lines = [
        json.dumps({"text": f"the {row} people of the nation and their {row * row} treaties"})
        for row in range(100)
    ]
    project.file("mine.jsonl").write_text("\n".join(lines))
    project.configure(
        corpus={"source": "local", "path": "mine.jsonl"},
        deduplication={"similarity": 1.0},
        pools={"member": 20, "nonmember": 20, "holdout": 20, "auxiliary": 30},
        training__student__epochs=2,
        methods={"kd": {}, "early": {"early": {"of": "kd", "epoch": 1}}},
        ensembles={"subsets": {}},
        attacks={"loss": {}},
        references=0,
        gate={"on_failure": "report"},
    )
    done = project.snakemake(*TARGETS, *COMMAND)
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def contents(project: Project) -> dict[str, str]:
    """Digests of all results; logs and benchmarks hold times."""
    root = project.file(SEED)
    return {
        str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in root.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize(
    ("damage", "file", "read_for", "deleted"),
    [
        (flip, "tokenizer/tokenizer.json", "records.parquet", "tokenizer"),
        (flip, f"{TEACHER}/model.safetensors", "tiny/teacher/targets.npy", TEACHER),
        (Path.unlink, f"{TEACHER}/config.json", "tiny/teacher/targets.npy", TEACHER),
        (flip, f"{EPOCHS}/1/model/model.safetensors", "tiny/early/selection.parquet", EPOCHS),
    ],
)
def test_what_is_damaged_in_a_directory_is_made_again_when_it_is_deleted_as_the_line_says(
    damage: Callable[[Path], None],
    file: str,
    read_for: str,
    deleted: str,
    finished: Project,
    tmp_path: Path,
) -> None:
    project = finished.copy(tmp_path / "project")
    before = contents(project)
    damage(project.file(f"{SEED}/{file}"))
    # What is read for it again: a finished study reads nothing.
    project.file(f"{SEED}/{read_for}").unlink()
    failed = project.snakemake(f"{SEED}/{read_for}", *COMMAND)
    assert failed.returncode != 0
    said = failed.stdout + failed.stderr
    assert "Traceback" not in said
    (line,) = {line for line in said.splitlines() if line.startswith("error:")}
    assert line.startswith(f"error: {SEED}/{file}: "), line
    advice = re.search(r"run the same command after: (rm -r .*)$", line)
    assert advice is not None, line
    # The log stands behind it as a comment, so that the end of the line can be pasted.
    assert shlex.split(advice[1], comments=True) == ["rm", "-r", f"{SEED}/{deleted}"]
    subprocess.run(advice[1], shell=True, cwd=project.directory, check=True)
    mended = project.snakemake(f"{SEED}/{read_for}", *COMMAND)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert contents(project) == before


def test_a_changed_file_with_a_checksum_beside_it_is_made_again_when_it_is_deleted(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    before = contents(project)
    facts, metrics = f"{PAIR}/teacher/facts.json", f"{PAIR}/teacher/metrics.parquet"
    path = project.file(facts)
    path.write_text(path.read_text().replace("parameters", "parameterS"))
    project.file(metrics).unlink()
    failed = project.snakemake(metrics, *COMMAND)
    assert failed.returncode != 0
    said = failed.stdout + failed.stderr
    (line,) = {line for line in said.splitlines() if line.startswith("error:")}
    assert line.startswith(f"error: {facts}: damaged")
    assert f"after: rm -r {facts} # log: " in line
    path.unlink()
    mended = project.snakemake(metrics, *COMMAND)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert contents(project) == before
