"""Signals that request the end of a job, and the exit status of one that can be resumed."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)
"""What batch systems send before they end a job: SIGTERM, or on request SIGUSR1 (`--signal`). What
a terminal sends to all its programs at Ctrl-C: SIGINT; and when it is closed: SIGHUP."""
EXIT_STATUS = 75
"""EX_TEMPFAIL of sysexits.h. Not 0, else a workflow would believe that the outputs are there."""


class Interrupted(Exception):  # noqa: N818  # not an error: nothing is wrong with the input
    """A signal requested the end of the computation, which has saved its state.

    Args:
        done: what is done, such as "step 120".
    """

    def __init__(self, done: str) -> None:
        super().__init__(f"interrupted; run again to continue from {done}")


@contextmanager
def noticed() -> Iterator[Callable[[], bool]]:
    """Inside the block SIGNALS are only noted; yields a function: has one arrived?

    A signal that is ignored stays ignored, as SIGINT in the background of a script, and SIGHUP with
    nohup. Only the main thread can receive signals; in another one nothing is ever noted.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: found for number, found in handlers.items() if found != signal.SIG_IGN}
    for number in before:
        signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield lambda: bool(arrived)
    finally:
        for number, handler in before.items():
            # None: a handler in C, which Python cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def interrupt_in_one_line() -> None:
    """From now on SIGINT ends this program with one line and the status of an interruption.

    What is being written is removed on the way. A SIGINT that is ignored stays ignored.
    """
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Pressing the keys again must not interrupt the cleaning up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Not `print`, which fails if the signal arrives while it writes.
    os.write(2, b"interrupted; run again\n")
    sys.exit(EXIT_STATUS)
