"""Jobs that share the GPUs of a machine: each sees cards that no other one sees."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distilleak.machine import gpus

LOOK = """
import os, pathlib, sys, time
place = pathlib.Path(sys.argv[1])
(place / f"{os.getpid()}.begun").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
while not (place / "end").exists():
    time.sleep(0.02)
"""


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def start(place: Path, *options: str) -> "subprocess.Popen[str]":
    place.mkdir(exist_ok=True)
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "distilleak.machine.gpus", *options),
            *(sys.executable, "-c", LOOK, place),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def begun(place: Path, count: int) -> list[str]:
    """What the jobs see, as soon as `count` of them have begun."""
    end = time.monotonic() + 60
    while len(found := [file.read_text() for file in place.glob("*.begun")]) < count or "" in found:
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return sorted(found)


def test_jobs_side_by_side_have_a_card_each_and_the_next_one_waits(tmp_path: Path) -> None:
    place = tmp_path / "place"
    first = [start(place, "--of", "2") for _ in range(2)]
    assert begun(place, 2) == ["0", "1"]
    third = start(tmp_path / "later", "--of", "2")
    assert third.stderr is not None
    assert third.stderr.readline() == "waiting for 1 of the GPUs 0, 1\n"
    assert not list((tmp_path / "later").glob("*.begun"))
    first[0].kill()  # a card is free however its job ends
    first[0].wait()
    assert begun(tmp_path / "later", 1)[0] in "01"
    for name in ("place", "later"):
        (tmp_path / name / "end").touch()
    assert first[1].wait(30) == third.wait(30) == 0


def test_a_job_of_several_cards_takes_them_at_once_among_those_that_may_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,GPU-a/b")
    place = tmp_path / "place"
    job = start(place, "--of", "3", "--take", "2")
    assert begun(place, 1) == ["3,5"]
    assert gpus.take(["3", "5", "GPU-a/b"], 1, gpus.locks()) == ["GPU-a/b"]
    (place / "end").touch()
    assert job.wait(30) == 0


def test_more_cards_than_there_are_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as told:
        gpus.main(["--of", "1", "--take", "2", "true"])
    assert str(told.value).startswith(
        "error: 2 GPUs are wanted for one job, but only 1 may be used"
    )
    with pytest.raises(SystemExit, match="no-such-program: No such file"):
        gpus.main(["--of", "1", "no-such-program"])


def test_locks_that_cannot_be_made_are_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / f"distilleak-cards-{os.getuid()}").write_text("a file, no directory")
    process = start(tmp_path / "place", "--of", "2")
    _, said = process.communicate()
    assert process.returncode == 1
    assert said == f"error: {tmp_path}/distilleak-cards-{os.getuid()}: File exists\n"
