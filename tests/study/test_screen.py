"""The terminal: one line for a job that starts or fails, and why jobs failed as the last lines."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from distilleak.study.screen import INTERRUPTED, Interruption, OneLine

LAST = "WorkflowError:\nAt least one job did not complete successfully."


class Terminal:
    """What a terminal shows of records as Snakemake logs them."""

    def __init__(self) -> None:
        self.interruption = Interruption()
        self.short = OneLine(logging.Formatter(), self.interruption)
        self.shown: list[str] = []

    def log(self, message: str, **extra: Any) -> None:
        record = logging.makeLogRecord({"msg": message, **extra})
        assert self.interruption.filter(record)
        if self.short.filter(record):
            self.shown.append(self.short.format(record))

    def start(self, number: int, log: Path | None = None, title: str | None = "do it") -> None:
        logs = [str(log)] if log else []
        about = {"jobid": number, "rule_name": "rule", "rule_msg": title, "log": logs}
        self.log("rule rule:", event=LogEvent.JOB_INFO, **about)

    def fail(self, number: int, ended: str, log: Path | None = None, said: str = "") -> None:
        message = f"RuleException:\nCalledProcessError in file x:\nCommand 'c' {ended}"
        self.log(message, event=LogEvent.ERROR, thread=number)
        logs = [str(log)] if log else []
        about = {"jobid": number, "rule_name": "rule", "rule_msg": said, "log": logs}
        self.log("Error in rule", event=LogEvent.JOB_ERROR, thread=number, **about)

    def end(self) -> list[str]:
        self.log("Exiting because a job execution failed. Look above for error messages")
        self.log("Complete log(s): x")
        self.log(LAST, event=LogEvent.ERROR)
        return self.shown[-1].splitlines()


STATUS_1 = "returned non-zero exit status 1."


def test_the_errors_of_all_failed_jobs_are_the_last_lines(tmp_path: Path) -> None:
    terminal = Terminal()
    for number in (1, 2):
        log = tmp_path / f"{number}.log"
        terminal.start(number, log, f"job {number}")
        log.write_text(f"12:00 a line\nerror: file {number}: is wrong\n12:01 a late line\n")
        terminal.fail(number, STATUS_1, log)
    assert terminal.end() == [
        f"error: file {number}: is wrong # log: {tmp_path}/{number}.log" for number in (1, 2)
    ]
    # A start and a failure for each job, one line that is not about jobs, and the last ones.
    assert [line[8:] for line in terminal.shown[:4]] == [
        " job 1",
        f" failed: job 1: file 1: is wrong # log: {tmp_path}/1.log",
        " job 2",
        f" failed: job 2: file 2: is wrong # log: {tmp_path}/2.log",
    ]
    assert terminal.shown[4:-1] == ["Complete log(s): x"]


def test_a_traceback_gives_its_last_line_and_the_job(tmp_path: Path) -> None:
    terminal, log = Terminal(), tmp_path / "log"
    terminal.start(1, log)
    log.write_text("Traceback (most recent call last):\n  File x\nZeroDivisionError: by zero\n\n")
    terminal.fail(1, STATUS_1, log)
    assert terminal.end() == [f"error: do it: ZeroDivisionError: by zero # log: {log}"]


def test_an_ended_job_is_named_whatever_its_launcher_adds(tmp_path: Path) -> None:
    """As at SIGTERM, which only this job has received."""
    terminal, log = Terminal(), tmp_path / "log"
    terminal.start(1, log)
    log.write_text(
        "interrupted; run again to continue from step 7\nTraceback:\n  File x\nException: 15\n"
    )
    terminal.fail(1, STATUS_1, log)
    assert terminal.end() == [
        f"error: do it: interrupted; run again to continue from step 7 # log: {log}"
    ]


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        ("returned non-zero exit status 137.", "SIGKILL, often because the memory is full"),
        ("died with <Signals.SIGKILL: 9>.", "SIGKILL, often because the memory is full"),
        ("returned non-zero exit status 139.", "SIGSEGV"),
    ],
)
def test_a_killed_job_names_the_signal(ended: str, reason: str, tmp_path: Path) -> None:
    terminal, log = Terminal(), tmp_path / "log"
    terminal.start(1, log)
    log.write_text("12:00 step 7\n")
    terminal.fail(1, ended, log)
    assert terminal.end() == [f"error: do it: ended by {reason} # log: {log}"]


def test_the_message_of_a_shell_about_a_signal_is_read() -> None:
    """As a real command ends, not as this test believes that it does."""
    terminal = Terminal()
    terminal.start(1)
    with pytest.raises(subprocess.CalledProcessError) as raised:
        subprocess.run(
            ["bash", "-c", f"{sys.executable} -c 'import os; os.abort()'; exit $?"],
            check=True,
            capture_output=True,
        )
    terminal.fail(1, str(raised.value).rpartition("' ")[2])
    assert terminal.end() == ["error: do it: ended by SIGABRT"]


def test_a_log_of_an_earlier_run_is_not_read(tmp_path: Path) -> None:
    terminal, log = Terminal(), tmp_path / "log"
    log.write_text("error: long ago\n")
    terminal.start(1, log, title=None)
    terminal.fail(1, STATUS_1, log, said="sbatch failed:\n  no such partition")
    assert terminal.end() == ["error: rule: no word about why (sbatch failed: no such partition)"]


def test_a_job_that_succeeds_at_its_second_attempt_has_not_failed(tmp_path: Path) -> None:
    terminal, log = Terminal(), tmp_path / "log"
    for number in (1, 2):
        terminal.start(number, log)
        log.write_text("error: the disk is slow\n")
        os.utime(log, ns=(number, number))
        terminal.fail(number, STATUS_1, log)
    terminal.start(1, log)
    terminal.log("Finished", event=LogEvent.JOB_FINISHED)
    assert len(terminal.end()) == 1


def test_what_snakemake_says_of_other_errors_stays() -> None:
    terminal = Terminal()
    terminal.log("WorkflowError:\nno such profile", event=LogEvent.ERROR)
    assert terminal.shown == ["WorkflowError:\nno such profile"]
    assert terminal.end() == LAST.splitlines()
    assert any(line.startswith("Exiting because") for line in terminal.shown)


def test_an_interruption_gives_one_line_whatever_follows(tmp_path: Path) -> None:
    terminal, log = Terminal(), tmp_path / "log"
    terminal.start(1, log)
    terminal.shown.clear()
    # A job may end before Snakemake notices.
    log.write_text("interrupted; run again to continue from step 7\n")
    terminal.fail(1, "returned non-zero exit status 75.", log)
    with pytest.raises(SystemExit, match=INTERRUPTED):
        terminal.interruption(signal.SIGINT, None)
    terminal.log("Terminating processes on user request, this might take some time.")
    # The keys are pressed again while the jobs save their state.
    terminal.interruption(signal.SIGINT, None)
    terminal.fail(2, STATUS_1)
    terminal.log("Complete log(s): x")
    terminal.log(LAST, event=LogEvent.ERROR)
    assert terminal.shown == [INTERRUPTED]


def test_an_interruption_that_was_lost_can_be_repeated() -> None:
    interruption = Interruption()
    for _ in range(2):
        with pytest.raises(SystemExit, match=INTERRUPTED):
            interruption(signal.SIGINT, None)
