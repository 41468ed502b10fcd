"""The configuration that README.md shows for a user's own texts runs as it stands."""

import csv
import re
from pathlib import Path

import pytest
from workflow_project import Project

README = (Project.ROOT / "README.md").read_text()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The example as `study.yaml`, and as many texts as it says that it needs."""
    project = Project.new(tmp_path / "project")
    section = README.partition("**Your own texts.**")[2]
    example = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    count = re.search(r"at least (\d+) texts", section)
    assert example
    assert count
    project.file("study.yaml").write_text(example[1])
    with project.file("my_records.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["number", "body"])
        rows.writerows([row, f"entry {row}, and {row**3} words"] for row in range(int(count[1])))
    return project


def test_the_example_runs(project: Project) -> None:
    assert project.reruns()["train_student"] == 2
    split = "results/mine/seed-0/split.parquet"
    done = project.snakemake(split, "--cores", "1", "--configfile", "study.yaml")
    assert done.returncode == 0, done.stderr
    assert project.file(split).exists()
