"""Collect what every job cost from Snakemake's benchmark files: one row per job, one per rule."""

import argparse
import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from distilleak import stage
from distilleak.errors import DistilleakError
from distilleak.files import read_json, write_text
from distilleak.layout import model_directory

COLUMNS = ["rule", "model", "jobs", "wall_s", "max_rss_mib", "tokens_per_s"]
TOTAL = "total"
UNKNOWN = ("-", "NA", "nan")  # of a job that ended before it could be sampled
TRAINING = "train_"  # how the names of rules begin that train a model


@dataclass(frozen=True)
class Job:
    """One benchmark file; NaN where unknown."""

    rule: str
    model: str  # the wildcards, joined by dots
    wall_s: float
    max_rss_mib: float
    tokens: float  # that the training saw


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    jobs = list(read_jobs(arguments.benchmarks, arguments.facts_root))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rule, group in groupby(jobs, key=lambda job: job.rule):
        of_rule = list(group)
        writer.writerows(_row(rule, job.model, [job]) for job in of_rule)
        writer.writerow(_row(rule, TOTAL, of_rule))
    write_text(text.getvalue(), arguments.output)


def read_jobs(benchmarks: Path, facts_root: Path) -> Iterator[Job]:
    """Read `<benchmarks>/<rule>/<wildcards>.tsv`, by rule and wildcards.

    The tokens of a job of a rule `train_*` are those that facts.json of the model directory of its
    wildcards, `seed.pair.model`, says; NaN where there is none.

    Raises:
        DistilleakError: the directory is missing, or a file is damaged.
    """
    if not benchmarks.is_dir():
        raise DistilleakError(f"{benchmarks}: no such directory; it holds the benchmark files")
    for path in sorted(benchmarks.glob("*/**/*.tsv")):
        # A wildcard may hold a slash: the directory of a corpus or of a shadow.
        rule, *wildcards = path.relative_to(benchmarks).with_suffix("").parts
        tokens = _tokens("/".join(wildcards), facts_root) if rule.startswith(TRAINING) else math.nan
        yield Job(rule, ".".join(wildcards), *_read(path), tokens)


def _read(path: Path) -> tuple[float, float]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if len(rows) != 1:
        raise DistilleakError(
            f"{path}: {len(rows)} rows; a benchmark file has a header and one row"
        )
    # Its CPU time is left alone: it is sampled, and misses what a job did after the last sample.
    return _number(rows[0], "s", path), _number(rows[0], "max_rss", path)


def _number(row: dict[str, str | None], column: str, path: Path) -> float:
    text = row.get(column)
    if text in UNKNOWN:
        return math.nan
    try:
        return float(text or "")
    except ValueError as error:
        raise DistilleakError(
            f"{path}: column {column!r} is {text!r}; a number is needed, or {' or '.join(UNKNOWN)}"
        ) from error


def _tokens(wildcards: str, facts_root: Path) -> float:
    parts = wildcards.split(".", 2)
    facts = model_directory(facts_root, *parts) / "facts.json" if len(parts) == 3 else None
    if facts is None or not facts.is_file():
        return math.nan
    try:
        return float(read_json(facts)["training_tokens"])
    except (KeyError, TypeError, ValueError) as error:
        raise DistilleakError(f"{facts}: training_tokens must be there, as a number") from error


def _row(rule: str, model: str, jobs: Sequence[Job]) -> list[str | int]:
    trained = [job for job in jobs if job.tokens > 0 and job.wall_s > 0]
    seconds = sum(job.wall_s for job in trained)
    figures = (
        _known_sum(job.wall_s for job in jobs),
        max((job.max_rss_mib for job in jobs if not math.isnan(job.max_rss_mib)), default=math.nan),
        sum(job.tokens for job in trained) / seconds if trained else math.nan,
    )
    return [rule, model, len(jobs), *("" if math.isnan(x) else f"{x:.10g}" for x in figures)]


def _known_sum(values: Iterator[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) if known else math.nan


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
    parser.add_argument(
        "--benchmarks", type=Path, required=True, help="directory of <rule>/<wildcards>.tsv"
    )
    parser.add_argument("--facts-root", type=Path, required=True, help="results/<study>")
    parser.add_argument("--output", type=Path, required=True, help="costs.csv to write")
    return parser
