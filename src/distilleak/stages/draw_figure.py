"""Draw one figure of one pair of teacher and student from the tables, as PNG and as PDF."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.style

from distilleak import catalogue
from distilleak.figures._style import METADATA, parameters
from distilleak.files import atomic
from distilleak.settings.figures import FigureSettings
from distilleak.stages import base
from distilleak.tables.reading import Tables, read_tables


def render(
    name: str, tables: Tables, pair: str, style: FigureSettings, files: Mapping[str, Path]
) -> None:
    """Draw the figure `name` and write it to `files`, by format: "png" or "pdf".

    Raises:
        DistilleakError: there is no such figure, pair or headline attack.
    """
    figures = catalogue.load("figures", name)
    with matplotlib.style.context(["default", parameters(style)]):
        figure = figures.draw(tables, pair, style)
        for kind, file in files.items():
            with atomic(file) as temporary:
                figure.savefig(temporary, format=kind, metadata=METADATA[kind])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see `--help`."""
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--figure", required=True, help="name of a module of distilleak.figures")
    parser.add_argument("--pair", required=True, help="name of the pair of teacher and student")
    parser.add_argument("--tables", required=True, type=Path, help="directory of the tables (CSV)")
    parser.add_argument(
        "--style",
        required=True,
        type=base.settings_argument(FigureSettings),
        help="the section `figures` of the configuration, as JSON",
    )
    parser.add_argument("--png", required=True, type=Path, help="written: the figure as PNG")
    parser.add_argument("--pdf", required=True, type=Path, help="written: the figure as PDF")
    options = parser.parse_args(arguments)
    tables = read_tables(options.tables, catalogue.load("figures", options.figure).TABLES)
    files = {"png": options.png, "pdf": options.pdf}
    render(options.figure, tables, options.pair, options.style, files)
