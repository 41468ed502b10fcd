"""The expected seconds of a job, from the rate of earlier jobs of the same rule."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distilleak.costs.jobs import Job
from distilleak.costs.operations import Costs

STARTUP = 4.0
"""Seconds that a job with a model needs to import its libraries (docs/performance.md)."""
CPU_TFLOPS = 0.04
"""Speed of float32 matrix products on one CPU core, in 10^12 operations per second."""
INFORMATIVE = 3 * STARTUP
"""Wall seconds below which a job says nothing about the rate of longer ones: it spends most of them
on starting and on kernels too small to keep a core busy."""
SECONDS = 3.0
"""Assumed seconds of a job that needs no model, if no such job was measured."""


@dataclass(frozen=True)
class Measured:
    """A finished job: its rule, operations (NaN if it needs no model) and wall time."""

    rule: str
    operations: float
    seconds: float


@dataclass(frozen=True)
class Rates:
    """How fast the jobs of each rule were.

    Attributes:
        operations: maps a rule to its operations per second after the start-up.
        seconds: maps a rule that needs no model to the mean seconds of its jobs.
        jobs: maps a rule to the number of its measured jobs.
    """

    operations: Mapping[str, float]
    seconds: Mapping[str, float]
    jobs: Mapping[str, int]

    @classmethod
    def of(cls, measured: Sequence[Measured]) -> "Rates":
        """The rates of finished jobs, from one or several studies on the same machine."""
        operations, seconds, jobs = {}, {}, {}
        for rule in {job.rule for job in measured}:
            mine = [
                job
                for job in measured
                if job.rule == rule
                and job.seconds > (0 if math.isnan(job.operations) else INFORMATIVE)
            ]
            if not mine:
                continue
            jobs[rule] = len(mine)
            if math.isnan(mine[0].operations):
                seconds[rule] = sum(job.seconds for job in mine) / len(mine)
            else:
                busy = sum(job.seconds - STARTUP for job in mine)
                operations[rule] = sum(job.operations for job in mine) / busy
        return cls(operations, seconds, jobs)

    def expect(self, job: Job, costs: Costs, tflops: float) -> tuple[float, str]:
        """The expected seconds of a job, and what the estimate is based on."""
        if not job.needs_model:
            if job.rule in self.seconds:
                return self.seconds[job.rule], f"{_jobs(self.jobs[job.rule])}, not scaled"
            return SECONDS, f"assumed {SECONDS:g} s"
        operations = costs.operations(job)
        if job.rule in self.operations:
            rate, basis = self.operations[job.rule], _jobs(self.jobs[job.rule])
        else:
            rate, basis = tflops * 1e12, f"assumed {tflops:g} TFLOP/s"
        return STARTUP + operations / rate, basis


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"
