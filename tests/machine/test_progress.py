"""How far a job is, on the screen of its workflow."""

import os

import pytest

from distilleak.machine.progress import EVERY, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def said(times: list[tuple[float, float]], total: int = 2000) -> list[str]:
    """The lines of a job that has done so many units after so many seconds."""
    clock = Clock()
    reading, writing = os.pipe()
    progress = Progress("results/a/evidence", "records", writing, clock)
    progress.begin(total)
    for seconds, done in times:
        clock.now = 100.0 + seconds
        progress.reach(done)
    os.close(writing)
    with os.fdopen(reading) as file:
        return file.read().splitlines()


@pytest.mark.parametrize(
    ("seconds", "done", "left"),
    [(20, 1000, "20 s"), (60, 500, "3 min"), (3600, 400, "4 h 0 min"), (40, 2000, "0 s")],
)
def test_the_time_that_is_left_follows_from_that_so_far(
    seconds: float, done: float, left: str
) -> None:
    assert said([(seconds, done)]) == [
        f"results/a/evidence: {done:,} of 2,000 records, {left} left"
    ]


def test_a_line_comes_now_and_then_only() -> None:
    assert said([(EVERY / 2, 100), (EVERY - 1, 200)]) == []
    assert len(said([(EVERY, 100), (EVERY + 1, 110), (2 * EVERY, 200)])) == 2
    assert said([(EVERY, 0)]) == []


def test_without_a_screen_nothing_is_said() -> None:
    clock = Clock()
    progress = Progress("job", "records", None, clock)
    progress.begin(10)
    clock.now += 1000
    progress.reach(5)


def test_a_screen_that_has_gone_away_ends_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    clock = Clock()
    progress = Progress("job", "records", writing, clock)
    progress.begin(10)
    for seconds in (100, 200):
        clock.now += seconds
        progress.reach(5)
