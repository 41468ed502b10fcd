"""How far a long job is, said on the screen of the workflow that runs it."""

import os
import time
from collections.abc import Callable

EVERY = 20.0
"""Seconds between two lines, at least: several jobs share a screen."""


class Progress:
    """Says now and then how many of some units are done, and how much time is left."""

    def __init__(
        self,
        name: str,
        units: str,
        screen: int | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Say it of the job `name`, on the open file `screen`; None keeps quiet."""
        self._name = name
        self._units = units
        self._screen = screen
        self._now = now
        self._total = 0
        self._began = self._said = now()

    def begin(self, total: int) -> None:
        """Start the clock before the first of `total` units."""
        self._total = total
        self._began = self._said = self._now()

    def reach(self, done: float) -> None:
        """Note how many units are done."""
        now = self._now()
        if self._screen is None or done <= 0 or now - self._said < EVERY:
            return
        self._said = now
        left = (now - self._began) * (self._total - done) / done
        line = f"{self._name}: {done:,.0f} of {self._total:,} {self._units}, {_spoken(left)} left\n"
        try:
            os.write(self._screen, line.encode())
        except OSError:  # A screen that has gone away is no reason to stop.
            self._screen = None


def _spoken(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
