"""`python -m distilleak` as a program, in a directory and an environment that are the user's."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lacking import UNPRIVILEGED

from distilleak.__main__ import STAGES
from distilleak.machine.signals import EXIT_STATUS

SOURCE = Path(__file__).parents[1] / "src"


def run(directory: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "distilleak", *words],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(SOURCE)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("safe", ["", "1"])
def test_no_file_of_the_working_directory_is_imported(tmp_path: Path, safe: str) -> None:
    for name in ("copy", "random", "token", "wrapt", "numpy", "argparse", "json", "string"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user has run')\n")
    done = run(tmp_path, "load_corpus", "--help", PYTHONSAFEPATH=safe)
    assert done.returncode == 0, done.stderr
    assert "usage: python -m distilleak load_corpus" in done.stdout


def test_figures_are_drawn_whatever_backend_a_notebook_has_named(tmp_path: Path) -> None:
    backend = "module://no_such_package.backend_inline"
    done = run(tmp_path, "draw_figure", "--help", MPLBACKEND=backend)
    assert done.returncode == 0, done.stderr


def test_without_a_stage_it_lists_them(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: no stage given; allowed: {', '.join(STAGES)}\n"
    assert run(tmp_path, "--help").stdout.startswith("usage: python -m distilleak STAGE")
    assert "did you mean 'load_corpus'?" in run(tmp_path, "load_corpu").stderr


@pytest.mark.parametrize("twice", [False, True])
def test_an_interrupt_is_one_line_and_leaves_no_file(twice: bool, tmp_path: Path) -> None:
    """In a stage that cannot be resumed."""
    lines = "".join(f"passage {row} of a hundred thousand others\n\n" for row in range(100_000))
    (tmp_path / "mine.txt").write_text(lines)
    source = """{"source": "local", "parameters": {"path": "mine.txt"}}"""
    words = ["load_corpus", "--corpus", source, "--output", "results/passages.parquet"]
    run = subprocess.Popen(
        [sys.executable, "-m", "distilleak", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    # It has read the passages, and compares them for seconds.
    assert "100000 passages" in run.stderr.readline()
    for _ in range(1 + twice):
        run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == EXIT_STATUS
    assert said == "interrupted; run again\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine.txt"]


def test_a_file_that_may_not_be_written_gets_one_line_with_path_and_cause(tmp_path: Path) -> None:
    place = tmp_path / "locked"
    place.mkdir(mode=0o500)
    done = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-m", "distilleak", "write_schema", "--output", "locked/x"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "error: locked/x: cannot be written: Permission denied\n"


def test_where_the_log_cannot_be_written_the_screen_says_what_is_wrong(tmp_path: Path) -> None:
    """As on a full disk: results and logs lie on the same one."""
    screen = tmp_path / "screen"
    command = "3>screen; python -m distilleak collect_costs --benchmarks no --facts-root no"
    done = subprocess.run(
        ["bash", "-c", f"exec {command} --output x > /dev/full 2>&1"],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": str(SOURCE),
            "DISTILLEAK_SCREEN": "3",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        check=False,
    )
    assert done.returncode == 1
    assert screen.read_text() == "error: no: no such directory; it holds the benchmark files\n"
