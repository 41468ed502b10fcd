"""The smoke study, run in full twice: with parallel jobs and with one job at a time."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest
from workflow_project import Project

RESULTS = "results/smoke"
MEASURED = ("benchmarks", "logs", "costs.csv", "report.html")
"""What records how long something took, and so differs from run to run."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Project]:
    projects = []
    for cores in ("2", "1"):
        project = Project.new(tmp_path_factory.mktemp("determinism") / "project")
        done = project.snakemake("--cores", cores, "--configfile", "config/smoke.yaml")
        assert done.returncode == 0, done.stdout + done.stderr
        projects.append(project)
    return projects


def digests(project: Project) -> dict[str, str]:
    root = project.file(RESULTS)
    files = [path for path in root.rglob("*") if path.is_file()]
    names = {path: path.relative_to(root) for path in files}
    return {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for path, name in sorted(names.items())
        if name.parts[0] not in MEASURED and path.name != ".snakemake_timestamp"
    }


def test_the_same_study_gives_the_same_bytes(runs: list[Project]) -> None:
    one, other = map(digests, runs)
    assert {"tables/metrics.csv", "tables/summary.md", "passages.parquet"} <= set(one)
    assert any(name.endswith("model.safetensors") for name in one)
    assert one == other


def test_the_report_and_every_figure_are_there(runs: list[Project]) -> None:
    root = runs[0].file(RESULTS)
    assert (root / "report.html").stat().st_size > 100_000
    figures = {path.suffix for path in (root / "figures").rglob("*.*")}
    assert figures == {".png", ".pdf"}


def test_the_contracts_of_scores_and_metrics(runs: list[Project]) -> None:
    root: Path = runs[0].file(RESULTS)
    metrics = pd.read_csv(root / "tables" / "metrics.csv")
    columns = "seed pair model attack metric threshold value low high"
    assert list(metrics.columns) == columns.split()
    model = next(root.glob("seed-0/*/kd"))
    assert list(pd.read_parquet(model / "metrics.parquet").columns) == columns.split()
    scores = pd.read_parquet(model / "scores.parquet")
    assert list(scores.columns[:4]) == ["record_id", "pool", "teacher_member", "student_member"]
    assert set(scores.columns[4:]) == {
        "loss",
        "zlib",
        "lowercase",
        "min_k",
        "min_k_pp",
        "reference",
        "recall",
    }


def test_a_finished_study_has_nothing_to_do(runs: list[Project]) -> None:
    again = runs[0].snakemake("--dry-run", "--configfile", "config/smoke.yaml")
    assert "Nothing to be done" in again.stdout + again.stderr
