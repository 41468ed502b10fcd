"""costs: what every job cost, and all jobs of a rule together."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

import pandas as pd

from distilleak.tables.base import Columns
from distilleak.tables.printing import Findings, Printed, number

COLUMNS: Columns = {
    "rule": str,
    "model": str,
    "jobs": int,
    "wall_s": float,
    "max_rss_mib": float,
    "tokens_per_s": float,
}
TOTAL = "total"


class JobCost(Protocol):
    """What one job cost; NaN where unknown."""

    @property
    def rule(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def wall_s(self) -> float: ...
    @property
    def max_rss_mib(self) -> float: ...
    @property
    def tokens(self) -> float: ...


def build(jobs: Iterable[JobCost]) -> pd.DataFrame:
    """The table: a row per job, and after the jobs of each rule a row for all of them.

    Args:
        jobs: those of one rule one after another.
    """
    rows = []
    for rule, group in groupby(jobs, key=lambda job: job.rule):
        of_rule = list(group)
        rows += [(rule, job.model, *_cost([job])) for job in of_rule]
        rows.append((rule, TOTAL, *_cost(of_rule)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _cost(jobs: Sequence[JobCost]) -> tuple[int, float, float, float]:
    """(jobs, wall_s, max_rss_mib, tokens_per_s)."""
    trained = [job for job in jobs if job.tokens > 0 and job.wall_s > 0]
    seconds = sum(job.wall_s for job in trained)
    return (
        len(jobs),
        _known_sum(job.wall_s for job in jobs),
        max((job.max_rss_mib for job in jobs if not math.isnan(job.max_rss_mib)), default=math.nan),
        sum(job.tokens for job in trained) / seconds if trained else math.nan,
    )


def _known_sum(values: Iterator[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) if known else math.nan


def printed(findings: Findings) -> list[Printed]:
    """A row for each job, and one for all jobs of a rule."""
    table = Printed(
        "costs",
        "Cost of each stage",
        "Wall time in seconds, summed over jobs; the largest resident memory of a job in MiB; "
        "tokens per second where the stage counts them.",
        ("stage", "jobs", "wall (s)", "memory (MiB)", "tokens per s"),
        [
            (
                " ".join(text for text in (row["rule"], row["model"]) if text),
                *(number(row[name]) for name in ("jobs", "wall_s", "max_rss_mib", "tokens_per_s")),
            )
            for row in findings.rows("costs")
        ],
    )
    return [table]
