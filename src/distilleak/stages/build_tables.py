"""Build every table of a study from the results of its seeds and models.

Data as CSV (metrics also as Parquet, in full precision), and the tables that people read as
Markdown and LaTeX. `distilleak.tables.FILES` names them all.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from distilleak.files import write_table, write_text
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.stages import base
from distilleak.tables import (
    blind,
    comparisons,
    effects,
    ensembles,
    epsilon,
    frontier,
    histograms,
    luck,
    metrics,
    models,
    readable,
    roc,
    split,
    success,
    supervision,
)
from distilleak.tables.base import PooledMetrics
from distilleak.tables.results import Results, read_results
from distilleak.tables.roster import Roster


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    layout: Roster = arguments.layout
    results = read_results(arguments.results, layout, arguments.evaluation.replicates)
    pooled = metrics.pool_metrics(layout, results)
    tables = build(layout, results, pooled, arguments.evaluation)
    texts = readable.build(
        layout,
        pooled,
        tables,
        margin=arguments.evaluation.margin,
        delta=arguments.evaluation.delta,
    )
    write(tables, texts, arguments.output)


def build(
    layout: Roster, results: Results, pooled: PooledMetrics, evaluation: EvaluationSettings
) -> dict[str, pd.DataFrame]:
    """Every table of data, by name."""
    return {
        "models": models.build(layout),
        "metrics": metrics.build(layout, results, pooled),
        "comparisons": comparisons.build(layout, pooled, evaluation.margin),
        "success": success.build(layout, results, evaluation.folds),
        "supervision": supervision.build(layout, results, evaluation.replicates),
        "ensembles": ensembles.build(layout, pooled),
        "frontier": frontier.build(layout, pooled),
        "luck": luck.build(layout, pooled),
        "roc": roc.build(layout, results),
        "histograms": histograms.build(layout, results),
        "blind": blind.build(layout, results),
        "split": split.build(layout, results),
        "epsilon": epsilon.build(layout, results, evaluation.delta),
        "effects": effects.build(layout, pooled),
    }


def write(
    tables: dict[str, pd.DataFrame], texts: dict[str, readable.Readable], directory: Path
) -> None:
    """Write the files that `distilleak.tables.FILES` names, each atomically."""
    for name, table in tables.items():
        text = table.to_csv(index=False, float_format=_digits, lineterminator="\n")
        write_text(text, directory / f"{name}.csv")
    columns = {name: pa.array(column.tolist()) for name, column in tables["metrics"].items()}
    write_table(pa.table(columns), directory / "metrics.parquet")
    for name, shown in texts.items():
        write_text(readable.markdown(shown), directory / f"{name}.md")
        write_text(readable.latex(shown, name), directory / f"{name}.tex")


def _digits(number: object) -> str:
    assert isinstance(number, float)
    # Counts are exact; estimates have the precision of stored replicates, that of float32.
    return f"{number:.0f}" if number.is_integer() else f"{number:.7g}"


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--results", type=Path, required=True, help="results/<study>")
    parser.add_argument(
        "--layout",
        type=base.settings_argument(Roster),
        required=True,
        help='JSON: {"seeds": [...], "headline_attack": ..., "attacks": [...], "pairs": {name: '
        '{"models": [{"model", "kind", "method", "label", "members"}, ...], "data": '
        'directory below that of a seed, "vocabulary": ...}}, "differing": what seeds differ in}',
    )
    parser.add_argument(
        "--evaluation",
        type=base.settings_argument(EvaluationSettings),
        required=True,
        help="JSON: folds, replicates",
    )
    parser.add_argument("--output", type=Path, required=True, help="directory of tables to write")
    return parser
