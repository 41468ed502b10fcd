"""Write the report of a study: one HTML page that holds its figures and opens without a network."""

import base64
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from distilleak import blind_bar, catalogue, findings, report_tables, stage
from distilleak.errors import DistilleakError
from distilleak.figures._tables import headline, pairs_of, pool_size, read_one, read_tables
from distilleak.figures.base import Tables
from distilleak.files import write_text
from distilleak.settings.figures import FigureSettings

TABLES = (
    *("models", "metrics", "comparisons", "supervision", "ensembles", "effects", "epsilon"),
    *("frontier", "luck"),
    *("blind", "split"),
)
_PACKAGES = (
    *("distilleak", "snakemake", "torch", "transformers", "tokenizers", "numpy", "scipy"),
    *("pandas", "pyarrow", "scikit-learn", "matplotlib"),
)


def page(
    study: str,
    tables: Tables,
    costs: pd.DataFrame,
    figures: Path,
    names: Sequence[str],
    style: FigureSettings,
    configuration: str,
) -> str:
    """The report as HTML.

    Args:
        study: Name of the study.
        tables: The tables named in `TABLES`.
        costs: The table of costs.
        figures: Directory of `<pair>/<figure>.png`.
        names: The figures that are shown, in this order.
        style: Says which attack the headline is.
        configuration: Text of the study's configuration.

    Raises:
        DistilleakError: a figure is missing, or the headline attack was not made.
    """
    parts = []
    for pair in pairs_of(tables):
        attack = headline(tables, pair, style)
        parts.append(
            {
                "pair": pair,
                "members": pool_size(tables["split"], pair, "member"),
                "nonmembers": pool_size(tables["split"], pair, "nonmember"),
                "best_blind": blind_bar.best_blind(tables, pair),
                "warning": blind_bar.warning(tables, pair),
                "answer": findings.answer(tables, pair, attack),
                "figures": [_figure(figures / pair, name) for name in names],
                "tables": report_tables.of_pair(tables, pair, attack),
            }
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.jinja").render(
        study=study,
        attack=style.headline_attack,
        parts=parts,
        split=report_tables.split(tables),
        blind=report_tables.blind(tables),
        costs=report_tables.costs(costs),
        versions=versions(),
        configuration=configuration,
    )


def versions() -> dict[str, str]:
    """Installed versions of what the results depend on; read without importing any of it."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _figure(directory: Path, name: str) -> dict[str, Any]:
    module = catalogue.load("figures", name)
    file = directory / f"{name}.png"
    try:
        png = base64.b64encode(file.read_bytes()).decode("ascii")
    except FileNotFoundError as error:
        raise DistilleakError(f"{file}: no such figure") from error
    return {"name": name, "title": module.TITLE, "caption": module.CAPTION, "png": png}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see `--help`."""
    parser = stage.parser(__name__, __doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--tables", required=True, type=Path, help="directory of the tables (CSV)")
    parser.add_argument(
        "--figures", required=True, type=Path, help="directory of <pair>/<figure>.png"
    )
    parser.add_argument(
        "--names",
        nargs="+",
        default=catalogue.names("figures"),
        help="figures to show (default: all that there are)",
    )
    parser.add_argument("--costs", required=True, type=Path, help="table of costs (CSV)")
    parser.add_argument("--config", required=True, type=Path, help="the configuration, shown as is")
    parser.add_argument(
        "--style",
        required=True,
        type=stage.settings_argument(FigureSettings),
        help="the section `figures` of the configuration, as JSON",
    )
    parser.add_argument("--output", required=True, type=Path, help="written: the report (HTML)")
    options = parser.parse_args(arguments)
    try:
        configuration = options.config.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DistilleakError(f"{options.config}: no such file") from error
    html = page(
        options.study,
        read_tables(options.tables, TABLES),
        read_one(options.costs, "costs"),
        options.figures,
        options.names,
        options.style,
        configuration,
    )
    write_text(html, options.output)
