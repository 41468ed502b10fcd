"""Directories and files may have names that a shell, Python or Snakemake would read otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_study import VOCABULARY, sentences
from workflow_project import Project

from distilleak.models import making
from distilleak.records import tokenizer as tokenization
from distilleak.settings.architecture import ArchitectureSettings

ODD = "it's a \"strange\" 50% $HOME name [x]* & 'more'"
BRACES = "it's {seed} a {strange} {one"
SPLIT = "results/small/seed-0/split.parquet"


def texts(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n\n".join(f"paragraph {row}, and {row**3} words" for row in range(400)))


def snakemake(project: Project, place: Path, *options: str) -> str:
    """Run a project in another directory; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *options, "-s", str(project.file("Snakefile"))],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_checkout_with_an_odd_name_runs(tmp_path: Path) -> None:
    project = Project.new(tmp_path / ODD)
    project.file("study.yaml").rename(project.file(f"{BRACES}.yaml"))
    done = project.snakemake(
        "results/small/config.json", "--cores", "1", "--configfile", f"{BRACES}.yaml"
    )
    assert done.returncode == 0, done.stderr
    assert project.file("results/small/config.json").exists()


@pytest.mark.parametrize("name", ["a {strange} place", "one: two"])
def test_a_checkout_whose_name_cannot_work_is_refused(name: str, tmp_path: Path) -> None:
    project = Project.new(tmp_path / name)
    done = project.snakemake("-n", "--configfile", "study.yaml")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith(f"error: {project.directory}: no rules can run")


def test_a_working_directory_texts_and_a_model_with_odd_names(tmp_path: Path) -> None:
    project, place = Project.new(tmp_path / "project"), tmp_path / f"{ODD}{BRACES}"
    texts(place / f"texts {ODD}" / f"mine {BRACES}.txt")
    model = place / f"model {ODD}{BRACES}"
    tokenizer = tmp_path / "tokenizer"
    tokenization.save(tokenization.train(sentences(200, seed=1), VOCABULARY), tokenizer, 64)
    shape = ArchitectureSettings(layers=1, width=16, heads=2, positions=64)
    making.save(making.make(shape, tokenizer, 0), tokenizer, model)
    study = yaml.safe_load(project.file("study.yaml").read_text())
    study["corpus"] = {"source": "local", "path": f"texts {ODD}/mine {BRACES}.txt"}
    study["deduplication"] = {"similarity": 1.0}
    study["pairs"]["tiny"]["teacher"] = {"directory": model.name}
    study["pairs"]["tiny"]["student"] = {"directory": model.name, "init": "random"}
    file = place / f"study {BRACES}.yaml"
    file.write_text(yaml.safe_dump(study))
    options = ("results/small/seed-0/tiny/tokenizer", SPLIT, "--configfile", file.name)
    snakemake(project, place, "--cores", "1", *options)
    assert (place / SPLIT).exists()
    assert (place / "results/small/seed-0/tiny/tokenizer/tokenizer.json").exists()
    # They are no inputs for Snakemake, and their contents count all the same.
    assert "Nothing to be done" in snakemake(project, place, "-n", *options)
    texts(place / f"texts {ODD}" / f"mine {BRACES}.txt")
    assert "Nothing to be done" in snakemake(project, place, "-n", *options)
    with (place / f"texts {ODD}" / f"mine {BRACES}.txt").open("a") as more:
        more.write("\n\nmore\n")
    changed = snakemake(project, place, "-n", *options)
    assert "load_corpus" in changed
    assert "copy_tokenizer" not in changed
    # Another model with the old date.
    config = model / "config.json"
    before = config.stat().st_mtime_ns
    config.write_text(config.read_text() + "\n")
    os.utime(config, ns=(before, before))
    assert "copy_tokenizer" in snakemake(project, place, "-n", *options)
