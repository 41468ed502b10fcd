"""What a study is expected to cost, stored in a file and compared with what it did cost."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tabulate import tabulate

from distilleak.costs import benchmarks
from distilleak.costs.jobs import Job
from distilleak.costs.operations import Costs
from distilleak.costs.rates import Measured, Rates
from distilleak.errors import DistilleakError
from distilleak.files import write_text
from distilleak.paths import benchmarks_directory
from distilleak.study import reading
from distilleak.study.plan import Plan
from distilleak.study.yaml_text import read_yaml

COLUMNS = ("rule", "wildcards", "gpus", "seconds", "bytes", "basis", "outputs")
HOUR = 3600.0
GIB = 2.0**30


@dataclass(frozen=True)
class Expected:
    """A job and what it is expected to cost."""

    rule: str
    wildcards: str
    gpus: int
    seconds: float
    bytes: float
    basis: str
    outputs: tuple[str, ...]


def measured(home: Path) -> Iterator[Measured]:
    """The finished jobs of a study in results/<study>; none without its complete configuration.

    Raises:
        DistilleakError: its config.json or a benchmark file is damaged.
    """
    if not (home / "config.json").is_file() or not benchmarks_directory(home).is_dir():
        return
    raw = read_yaml(home / "config.json")
    study = reading.load(raw, {str(home / "config.json"): raw})
    costs = Costs(Plan(study), {})
    for done in benchmarks.read_jobs(benchmarks_directory(home), home):
        job = Job(done.rule, done.model)
        # A benchmark file may be left over from an earlier configuration.
        try:
            operations = costs.operations(job) if job.needs_model else math.nan
        except (DistilleakError, LookupError, ValueError):
            continue
        yield Measured(done.rule, operations, done.wall_s)


def expect(jobs: Iterable[Job], rates: Rates, costs: Costs, tflops: float) -> list[Expected]:
    """What each job is expected to cost.

    Args:
        jobs: those that would run.
        rates: of earlier jobs on the same machine.
        costs: of the study that the jobs belong to.
        tflops: 10^12 operations per second, for rules that have not run yet.

    Raises:
        DistilleakError: the size of a pretrained model is not known.
    """
    gpus = costs.configuration.hardware.gpus
    found = []
    for job in jobs:
        seconds, basis = rates.expect(job, costs, tflops)
        taken = (gpus if job.rule.startswith("train_") else 1) if job.needs_model else 0
        found.append(
            Expected(job.rule, job.wildcards, taken, seconds, costs.bytes(job), basis, job.outputs)
        )
    return found


def summary(forecast: Sequence[Expected]) -> str:
    """The table of a forecast, one row per rule."""
    rows = []
    for rule, jobs in _by_rule(forecast):
        rows.append([rule, *_figures(jobs), "; ".join(sorted({job.basis for job in jobs}))])
    rows.append(["total", *_figures(forecast), ""])
    head = ["rule", "jobs", "GPU hours", "other hours", "disk (GiB)", "time from"]
    return tabulate(rows, head, floatfmt=("", "d", ".3f", ".3f", ".3f", ""), tablefmt="github")


def _figures(jobs: Sequence[Expected]) -> list[float]:
    return [
        len(jobs),
        sum(job.gpus * job.seconds for job in jobs) / HOUR,
        sum(job.seconds for job in jobs if not job.gpus) / HOUR,
        sum(job.bytes for job in jobs) / GIB,
    ]


def comparison(forecast: Sequence[Expected], home: Path) -> str:
    """A table of the forecast and the measured costs, over the jobs that have run since."""
    finished = benchmarks.read_jobs(benchmarks_directory(home), home)
    walls = {(job.rule, job.model): job.wall_s for job in finished}
    rows: list[tuple[str, list[float]]] = []
    for rule, jobs in _by_rule(forecast):
        done = [job for job in jobs if walls.get((rule, job.wildcards), math.nan) > 0]
        if done:
            written = sum(_size(Path(file)) for job in done for file in job.outputs)
            figures = [
                len(jobs),
                len(done),
                sum(job.seconds for job in done) / HOUR,
                sum(walls[rule, job.wildcards] for job in done) / HOUR,
                sum(job.bytes for job in done) / GIB,
                written / GIB,
            ]
            rows.append((rule, figures))
    if not rows:
        raise DistilleakError(f"{benchmarks_directory(home)}: no job of the forecast has run yet")
    rows.append(("total", [sum(column) for column in zip(*(f for _, f in rows), strict=True)]))
    shown = [
        [rule, jobs, done, hours, fact, fact / hours, gib, written]
        for rule, (jobs, done, hours, fact, gib, written) in rows
    ]
    head = [
        "rule",
        "jobs",
        "measured",
        "hours, forecast",
        "hours, fact",
        "fact / forecast",
        "GiB, forecast",
        "GiB, fact",
    ]
    formats = ("", "d", "d", ".3f", ".3f", ".2f", ".3f", ".3f")
    return tabulate(shown, head, floatfmt=formats, tablefmt="github")


def _by_rule(forecast: Sequence[Expected]) -> Iterator[tuple[str, list[Expected]]]:
    ordered = sorted(forecast, key=lambda job: (not job.gpus, job.rule))
    for (_, rule), jobs in groupby(ordered, key=lambda job: (not job.gpus, job.rule)):
        yield rule, list(jobs)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.is_file() else 0


def write_forecast(forecast: Sequence[Expected], path: Path) -> None:
    """One row per job, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for job in forecast:
        fields = (job.rule, job.wildcards, job.gpus, repr(job.seconds), repr(float(job.bytes)))
        writer.writerow([*fields, job.basis, " ".join(job.outputs)])
    write_text(text.getvalue(), path)


def read_forecast(path: Path) -> list[Expected]:
    """What `write_forecast` wrote.

    Raises:
        DistilleakError: the file is missing or damaged.
    """
    if not path.is_file():
        raise DistilleakError(f"{path}: no such file; a forecast before the run writes it")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return [
            Expected(
                row["rule"],
                row["wildcards"],
                int(row["gpus"]),
                float(row["seconds"]),
                float(row["bytes"]),
                row["basis"],
                tuple(row["outputs"].split()),
            )
            for row in rows
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DistilleakError(f"{path}: damaged; delete it and forecast again") from error
