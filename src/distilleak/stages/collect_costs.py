"""Collect what every job cost from Snakemake's benchmark files: one row per job, one per rule."""

import argparse
import csv
import io
import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from distilleak.costs.benchmarks import FinishedJob, read_jobs
from distilleak.files import write_text
from distilleak.stages import base

COLUMNS = ["rule", "model", "jobs", "wall_s", "max_rss_mib", "tokens_per_s"]
TOTAL = "total"


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


def _row(rule: str, model: str, jobs: Sequence[FinishedJob]) -> list[str | int]:
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
    parser = base.parser(__name__, __doc__)
    parser.add_argument(
        "--benchmarks", type=Path, required=True, help="directory of <rule>/<wildcards>.tsv"
    )
    parser.add_argument("--facts-root", type=Path, required=True, help="results/<study>")
    parser.add_argument("--output", type=Path, required=True, help="costs.csv to write")
    return parser
