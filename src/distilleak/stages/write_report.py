"""Write the report of a study: one HTML page that holds its figures and opens without a network."""

from collections.abc import Sequence
from pathlib import Path

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.files import write_text
from distilleak.report.page import COSTS, NEEDED, page
from distilleak.settings.figures import FigureSettings
from distilleak.stages import base
from distilleak.tables.reading import read_one, read_tables


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see `--help`."""
    parser = base.parser(__name__, __doc__)
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
        type=base.settings_argument(FigureSettings),
        help="the section `figures` of the configuration, as JSON",
    )
    parser.add_argument(
        "--margin", required=True, type=float, help="smaller differences count as equivalence"
    )
    parser.add_argument("--output", required=True, type=Path, help="written: the report (HTML)")
    options = parser.parse_args(arguments)
    try:
        configuration = options.config.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DistilleakError(f"{options.config}: no such file") from error
    html = page(
        options.study,
        read_tables(options.tables, NEEDED) | {COSTS: read_one(options.costs, COSTS)},
        options.figures,
        options.names,
        options.style,
        options.margin,
        configuration,
    )
    write_text(html, options.output)
