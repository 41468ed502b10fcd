"""Collect what every job cost from Snakemake's benchmark files: one row per job, one per rule."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from distilleak.costs.benchmarks import read_jobs
from distilleak.files import write_text
from distilleak.stages import base
from distilleak.tables import costs, printing


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    table = costs.build(read_jobs(arguments.benchmarks, arguments.facts_root))
    write_text(printing.csv(table, digits=10), arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument(
        "--benchmarks", type=Path, required=True, help="directory of <rule>/<wildcards>.tsv"
    )
    parser.add_argument("--facts-root", type=Path, required=True, help="results/<study>")
    parser.add_argument("--output", type=Path, required=True, help="costs.csv to write")
    return parser
