"""Ctrl-C at the terminal: one line, saved state, and the same bytes after the same command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from workflow_project import Project

DIRECTORY = "results/small/seed-0/tiny/teacher"
LOGS = "results/small/logs"
WAIT = 120
"""Seconds after which something that should happen has not."""


def interrupted(project: Project, target: str, sign: Path, word: str) -> tuple[int, str]:
    """Run until `word` is in the file `sign`; then interrupt Snakemake and its jobs, as a terminal
    does, twice."""
    run = subprocess.Popen(
        [sys.executable, "-m", "snakemake", target, "--cores", "1", "--configfile", "study.yaml"],
        cwd=project.directory,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + WAIT
    while not (sign.exists() and word in sign.read_text()):
        assert run.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    time.sleep(0.2)
    os.killpg(run.pid, signal.SIGINT)
    said, _ = run.communicate(timeout=WAIT)
    return run.returncode, said


def test_ctrl_c_is_one_line_and_the_same_command_ends_with_the_same_bytes(tmp_path: Path) -> None:
    project = Project.new(tmp_path / "project")
    project.configure(training__teacher__epochs=150)
    target = f"{DIRECTORY}/model"
    log = project.file(f"{LOGS}/train_teacher/0.tiny.log")
    code, said = interrupted(project, target, log, "epoch 2,")
    assert code != 0
    lines = [line for line in said.splitlines() if line]
    assert lines[-1] == "interrupted; the same command resumes"
    assert lines[-2].endswith("train teacher (seed 0, tiny)")
    assert not any("Traceback" in file.read_text() for file in project.file(LOGS).rglob("*.log"))
    stopped = log.read_text().splitlines()[-1]
    assert stopped.startswith("interrupted; run again to continue from step ")
    # Snakemake has released its lock; another project starts from the same records.
    whole = project.copy(tmp_path / "whole")
    for snapshots in whole.file("results/small/snapshots").iterdir():
        for snapshot in snapshots.glob("*/step-*/*"):
            snapshot.unlink()
    for one in (project, whole):
        done = one.snakemake(target, "--cores", "1", "--configfile", "study.yaml")
        assert done.returncode == 0, done.stderr
    resumed, at_once = (one.file(f"{LOGS}/train_teacher/0.tiny.log") for one in (project, whole))
    assert "epoch 1," in at_once.read_text()
    assert "epoch 1," not in resumed.read_text()
    names = sorted(file.name for file in whole.file(target).iterdir())
    assert "model.safetensors" in names
    assert names == sorted(file.name for file in project.file(target).iterdir())
    for name in names:
        if not name.startswith("."):
            ours, theirs = (one.file(f"{target}/{name}").read_bytes() for one in (project, whole))
            assert ours == theirs, name
