"""Signals that request the end of a job, and the exit status of one that can be resumed."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What batch systems send before they end a job: SIGTERM, or on request SIGUSR1 (`--signal`)."""
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
    """Inside the block SIGTERM and SIGUSR1 are only noted; yields a function: has one arrived?

    Only the main thread can receive signals; in another one nothing is ever noted.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield lambda: bool(arrived)
    finally:
        for number, handler in before.items():
            # None: a handler in C, which Python cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
