"""What a terminal shows of a run: a line for each job, and at the end only why jobs failed."""

import logging
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType

from snakemake_interface_logger_plugins.common import LogEvent

LEFT_OUT = (LogEvent.PROGRESS, LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED)
SELECTING = "Select jobs"
ELSEWHERE = "Exiting because a job execution failed. Look above"
ENDING = "Terminating processes on user request"
LAST = "WorkflowError:\nAt least one job did not complete successfully."
"""What Snakemake writes before it chooses jobs, after the last job, at Ctrl-C, and last of all."""
ERROR = "error: "
STOPPED = "interrupted; run again"
"""How a stage begins the line that says what is wrong, or that a signal has ended it."""
INTERRUPTED = "interrupted; the same command resumes"


class Interruption:
    """Ctrl-C: Snakemake waits for its jobs, which save their state, and ends.

    It is the handler of SIGINT and a filter of Snakemake's logger. Snakemake's own reaction to
    KeyboardInterrupt is the same while jobs run; before that, it shows a traceback.

    Attributes:
        requested: whether the signal has arrived.
        ending: whether Snakemake has noticed.
    """

    def __init__(self) -> None:
        self.requested = False
        self.ending = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        # Whoever presses the keys again must not stop the jobs from being waited for.
        if not self.ending:
            raise SystemExit(INTERRUPTED)

    def filter(self, record: logging.LogRecord) -> bool:
        self.ending = self.ending or record.getMessage().startswith(ENDING)
        return True


@dataclass
class Job:
    """What is known of a job from the record of its start.

    Attributes:
        title: what it does.
        logs: its log files and their times before it started.
    """

    title: str
    logs: dict[str, int | None] = field(default_factory=dict)


class OneLine:
    """Filter and formatter of the terminal: what is not about jobs is left as it is.

    A job that fails gives one line at once, and one more as the last of the run; what Snakemake
    says about it remains in Snakemake's log.

    Args:
        formatter: of everything else.
        interruption: after it, only that is shown.
    """

    def __init__(self, formatter: logging.Formatter, interruption: Interruption) -> None:
        self.formatter = formatter
        self.interruption = interruption
        self.progress = ""
        self.jobs: dict[int, Job] = {}
        # Thread that runs a job -> how the job's command ended.
        self.endings: dict[int | None, str] = {}
        self.failures: dict[int, str] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        event = getattr(record, "event", None)
        message = record.getMessage()
        if self.interruption.requested:
            return message.startswith(ENDING)
        match event:
            case LogEvent.PROGRESS:
                self.progress = f"{record.done} of {record.total} done: "  # type: ignore[attr-defined]
            case LogEvent.JOB_INFO:
                self._start(record)
            case LogEvent.JOB_ERROR:
                # At Ctrl-C, a job may end before Snakemake notices the signal.
                if self._fail(record).startswith(STOPPED):
                    return False
            case LogEvent.ERROR if "CalledProcessError" in message:
                # The error of the job follows in the same thread.
                self.endings[record.thread] = message
                return False
        if message.startswith(ELSEWHERE) and self.failures:
            return False
        return event not in LEFT_OUT and not message.startswith(SELECTING)

    def format(self, record: logging.LogRecord) -> str:
        event = getattr(record, "event", None)
        message = record.getMessage()
        title = getattr(record, "rule_msg", None)
        now = f"{datetime.fromtimestamp(record.created):%H:%M:%S}"
        if message.startswith(ENDING):
            return INTERRUPTED
        if event == LogEvent.JOB_ERROR:
            number = record.jobid  # type: ignore[attr-defined]
            title = f"{self.jobs[number].title}: "
            return f"{now} failed: {title}{self.failures[number].removeprefix(title)}"
        if event == LogEvent.JOB_INFO and title:
            return f"{now} {self.progress}{title}"
        if message.startswith(LAST) and self.failures:
            return "\n".join(f"error: {failure}" for failure in self.failures.values())
        return self.formatter.format(record)

    def _start(self, record: logging.LogRecord) -> None:
        rule, number, title, logs = _described(record)
        # A job that starts again has not failed yet.
        self.failures.pop(number, None)
        self.jobs[number] = Job(title or rule, {log: _written(log) for log in logs})

    def _fail(self, record: logging.LogRecord) -> str:
        """Note why the job failed, and return what its stage says."""
        rule, number, said, logs = _described(record)
        job = self.jobs.setdefault(number, Job(rule))
        ending = self.endings.pop(record.thread, "")
        # A job that could not start has left no log, but an earlier run may have.
        fresh = [log for log in logs if _written(log) not in (None, job.logs.get(log))]
        stated = next(filter(None, map(stated_reason, fresh)), "")
        reason = stated
        if not stated.startswith(ERROR):
            last = next(filter(None, map(_last_line, fresh)), "")
            found = stated or how_ended(ending) or last or "no word about why"
            reason = f"{job.title}: {found}"
        reason = reason.removeprefix(ERROR)
        if said:
            reason += f" ({' '.join(said.split())})"
        # After the command that a reason may end in, a comment can be pasted with it.
        self.failures[number] = f"{reason} # log: {fresh[0]}" if fresh else reason
        return stated


def _described(record: logging.LogRecord) -> tuple[str, int, str, Sequence[str]]:
    """Rule, number, message and log files of the job that a record is about."""
    of = record.__dict__
    return of["rule_name"], of["jobid"], of["rule_msg"] or "", of["log"] or []


def stated_reason(log: str) -> str:
    """What a stage says in its log: that something is wrong, or that a signal has ended it.

    It need not be the last line: a launcher of several processes, and libraries, may add their own.
    """
    lines = [line for line in _lines(log) if line.startswith((ERROR, STOPPED))]
    return lines[-1] if lines else ""


def how_ended(message: str) -> str:
    """Which signal ended a command, by the message of CalledProcessError; empty if none did."""
    found = re.search(r"exit status (\d+)\.|died with <Signals\.\w+: (\d+)>", message)
    if found is None:
        return ""
    # A shell reports a command that a signal ended by a status above 128.
    number = int(found[2] or int(found[1]) - 128)
    if number not in [*signal.Signals]:
        return ""
    hint = ", often because the memory is full" if number == signal.SIGKILL else ""
    return f"ended by {signal.Signals(number).name}{hint}"


def _last_line(log: str) -> str:
    return next((line.strip() for line in reversed(_lines(log)) if line.strip()), "")


def _lines(log: str) -> list[str]:
    try:
        return Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _written(log: str) -> int | None:
    """When a file was last written; None if there is none."""
    try:
        return Path(log).stat().st_mtime_ns
    except OSError:
        return None
