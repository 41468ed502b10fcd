"""One job at a time makes an output, also where the workflow that started another one has ended.

The lock is one on a file, which the system releases however the process ends. Where a file system
has no locks, the file says who holds it: whether that process lives is known on its own machine.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from distilleak.errors import DistilleakError
from distilleak.files import machine


@dataclass(frozen=True)
class Holder:
    """The process that makes an output.

    Attributes:
        host: name of its machine.
        pid: its id there.
        began: when the process began, in ticks of that machine's clock; ids are used again.
        system: the running system and the container, of which each counts its own processes.
        since: when it took the lock.
        slurm: the SLURM job that it belongs to; empty if there is none.
    """

    host: str
    pid: int
    began: str
    system: str
    since: str
    slurm: str

    def __str__(self) -> str:
        job = f" (SLURM job {self.slurm})" if self.slurm else ""
        return f"process {self.pid} on {self.host}{job} has been making it since {self.since}"


@contextmanager
def alone(output: str | Path, place: str | Path | None = None) -> Iterator[None]:
    """Inside the block no other process makes `output`.

    Args:
        output: what the job makes.
        place: where it keeps its unfinished work, beside which the lock lies; beside the output if
            left out.

    Raises:
        DistilleakError: another process does.
    """
    path = Path(f"{place or output}.lock")
    lock = _take(path, output)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _take(path: Path, output: str | Path) -> int:
    """The open lock file, locked and signed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(lock, path, output)
            # The one before may have deleted the file while it was opened here.
            if path.exists() and os.path.samestat(os.fstat(lock), path.stat()):
                _sign(lock, path)
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _lock(lock: int, path: Path, output: str | Path) -> None:
    unknown = ""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    except OSError:  # a file system without locks
        if _is_gone(_holder(lock)):
            return
        unknown = f"; if it does not run any more, delete {path}"
    else:
        return
    who = _holder(lock) or "another process is making it"
    raise DistilleakError(
        f"{output}: {who}; wait for it or end it there, and run the same command again{unknown}"
    )


def _sign(lock: int, path: Path) -> None:
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(asdict(_me())).encode(), 0)
    except OSError as error:
        raise DistilleakError(f"{path}: cannot be written: {error.strerror}") from error


def _me() -> Holder:
    pid = os.getpid()
    return Holder(
        host=socket.gethostname(),
        pid=pid,
        began=_began(pid) or "",
        system=_system(),
        since=datetime.now().strftime("%Y-%m-%d %H:%M"),
        slurm=os.environ.get("SLURM_JOB_ID", ""),
    )


def _holder(lock: int) -> Holder | None:
    """Who has signed a lock file; None if it says nothing yet, or nothing that can be read."""
    try:
        return Holder(**json.loads(os.pread(lock, 10_000, 0)))
    except (ValueError, TypeError):
        return None


def _is_gone(holder: Holder | None) -> bool:
    """Whether the holder of a lock that cannot be tried is known to have ended."""
    if holder is None:
        return True
    if holder.slurm and holder.slurm == os.environ.get("SLURM_JOB_ID"):
        # This very job, before it was queued again, perhaps on another node.
        return (holder.host, holder.pid) != (socket.gethostname(), os.getpid())
    if holder.system == _system():
        return _began(holder.pid) != holder.began
    boot = holder.system.partition(" ")[0]
    restarted = boot != _system().partition(" ")[0]
    return holder.host == socket.gethostname() and restarted


def _system() -> str:
    try:
        return f"{machine()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return machine()


def _began(pid: int) -> str | None:
    """When a process of this machine began; None if there is none of this id."""
    try:
        # The name of the program comes before it, in brackets, and may hold anything.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()[19]
