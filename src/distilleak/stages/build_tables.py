"""Build every table of a study from the results of its seeds and models.

Data as CSV (metrics also as Parquet, in full precision), and the tables that people read as
Markdown and LaTeX. `distilleak.tables.names` lists them all.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from distilleak.files import write_table, write_text
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.stages import base
from distilleak.tables import printing
from distilleak.tables.names import TABLES, load
from distilleak.tables.reading import read_tables
from distilleak.tables.results import read_study
from distilleak.tables.roster import Roster


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    study = read_study(arguments.results, arguments.roster, arguments.evaluation)
    tables: dict[str, pd.DataFrame] = {name: load(name).build(study) for name in TABLES}
    write_data(tables, arguments.output)
    # From what was written, as the report is: so the same number is rounded in the same way.
    written = read_tables(arguments.output, TABLES)
    findings = printing.Findings(written, study.roster.headline_attack, study.evaluation.margin)
    for name, readable in TABLES.items():
        if readable:
            printing.write(load(name).printed(findings), arguments.output)


def write_data(tables: Mapping[str, pd.DataFrame], directory: Path) -> None:
    """Write each table as CSV, the metrics as Parquet as well; each file atomically."""
    for name, table in tables.items():
        write_text(printing.csv(table), directory / f"{name}.csv")
    columns = {name: pa.array(column.tolist()) for name, column in tables["metrics"].items()}
    write_table(pa.table(columns), directory / "metrics.parquet")


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--results", type=Path, required=True, help="results/<study>")
    parser.add_argument(
        "--roster",
        type=base.settings_argument(Roster),
        required=True,
        help='JSON: {"seeds": [...], "headline_attack": ..., "attacks": [...], "threats": '
        '{attack: threat model}, "pairs": {name: '
        '{"models": [{"model", "kind", "method", "label", "members"}, ...], "data": '
        'directory below that of a seed, "vocabulary": ...}}, "differing": what seeds differ in}',
    )
    parser.add_argument(
        "--evaluation",
        type=base.settings_argument(EvaluationSettings),
        required=True,
        help="the section `evaluation` of the configuration, as JSON",
    )
    parser.add_argument("--output", type=Path, required=True, help="directory of tables to write")
    return parser
