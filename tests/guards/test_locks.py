"""A job that lives on is noticed by the next one, and a dead one is in nobody's way."""

import errno
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import as_words

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.guards import locks

HOLDER = """
import sys, time
from distilleak.guards import locks
with locks.alone(sys.argv[1]):
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that makes `model`, and ends when its input does."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "model")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield process
        process.kill()


def take(output: Path) -> None:
    with locks.alone(output):
        assert Path(f"{output}.lock").exists()
    assert not Path(f"{output}.lock").exists()


def refused(output: Path) -> str:
    with pytest.raises(DistilleakError) as caught, locks.alone(output):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_living_job_is_named_with_its_host_and_process(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    who = f"process {other.pid} on {re.escape(socket.gethostname())}"
    line = rf"{tmp_path}/model: {who} has been making it since [0-9: -]+; wait for it or end it"
    assert re.match(line, refused(tmp_path / "model"))
    take(tmp_path / "another")


def test_a_job_that_has_ended_leaves_no_lock(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.communicate("")
    assert [*tmp_path.iterdir()] == []
    take(tmp_path / "model")


def test_a_killed_job_is_in_nobodys_way(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.kill()
    other.wait()
    assert (tmp_path / "model.lock").exists()
    take(tmp_path / "model")


def test_a_job_that_fails_leaves_no_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locks.alone(tmp_path / "model"):
        raise KeyboardInterrupt
    assert [*tmp_path.iterdir()] == []


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks, which cannot be had here."""

    def refuse(file: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_process_of_this_machine_is_looked_up(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    said = refused(tmp_path / "model")
    assert f"process {other.pid} on " in said
    assert said.endswith(f"; if it does not run any more, delete {tmp_path}/model.lock")
    other.kill()
    other.wait()
    take(tmp_path / "model")


def change(lock: Path, **changes: object) -> None:
    lock.write_text(json.dumps(json.loads(lock.read_text()) | changes))


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({"began": "1"}, True),  # its id has been given to another process
        ({"system": "another boot"}, True),  # the machine has been restarted
        ({"system": "another boot", "host": "node7"}, False),  # it cannot be looked up
        ({"system": "another boot", "host": "node7", "slurm": "41"}, False),
        ({"system": "another boot", "host": "node7", "slurm": "42"}, True),  # queued again
    ],
)
def test_without_locks_only_a_job_that_may_live_is_in_the_way(
    changes: dict[str, str],
    free: bool,
    other: subprocess.Popen[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert other.poll() is None
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    change(tmp_path / "model.lock", **changes)
    if free:
        take(tmp_path / "model")
    else:
        assert "node7" in refused(tmp_path / "model")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 3}'])
def test_a_lock_that_says_nothing_is_taken(content: str, tmp_path: Path) -> None:
    (tmp_path / "model.lock").write_text(content)
    take(tmp_path / "model")


MODEL = {"type": "gpt2", "layers": 1, "width": 16, "heads": 2, "positions": 48}
TRAINING = {
    "records": "records.parquet",
    "tokenizer": "tokenizer",
    "training": '{"epochs": 1, "learning_rate": 0.01}',
    "seed": 0,
    "facts": "facts.json",
}
STAGES = {
    "train_model": {**TRAINING, "model": json.dumps(MODEL), "role": "teacher"},
    "train_student": {
        **TRAINING,
        "method": '{"method": "kd", "parameters": {}}',
        "student": json.dumps(MODEL),
        "selection": "selection.parquet",
    },
    "store_targets": {"records": "records.parquet", "teacher": "teacher"},
    "compute_evidence": {"records": "records.parquet", "model": "teacher", "seed": 0},
}
"""Costly stages and options that they need."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_costly_stage_does_nothing_while_another_process_makes_its_output(
    stage: str, other: subprocess.Popen[str], tmp_path: Path
) -> None:
    main = catalogue.load("stages", stage).main
    with pytest.raises(DistilleakError, match=rf"process {other.pid} on .* has been making it"):
        main(as_words(**STAGES[stage], output=tmp_path / "model"))


@pytest.mark.parametrize(
    ("stage", "option"),
    [("train_model", "snapshots"), ("train_student", "snapshots"), ("compute_evidence", "shards")],
)
def test_where_a_job_keeps_its_unfinished_work_no_other_one_works(
    stage: str, option: str, other: subprocess.Popen[str], tmp_path: Path
) -> None:
    main = catalogue.load("stages", stage).main
    place = {option: tmp_path / "model", "output": tmp_path / "elsewhere"}
    said = rf"^{tmp_path}/elsewhere: process {other.pid} on .* has been making it"
    with pytest.raises(DistilleakError, match=said):
        main(as_words(**STAGES[stage], **place))
