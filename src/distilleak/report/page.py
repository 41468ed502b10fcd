"""The report of a study: one HTML page that holds its figures and opens without a network."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.report import answer, bar
from distilleak.report.versions import versions
from distilleak.settings.figures import FigureSettings
from distilleak.tables.names import TABLES, load
from distilleak.tables.printing import Findings, Printed, as_html
from distilleak.tables.reading import Tables, headline, pairs_of, pool_size

OF_STUDY = ("split", "blind")
"""Tables that are shown once for all pairs."""
ATTACKERS = "threats"
"""The table that says who attacks, shown first."""
OF_PAIR = [
    name for name, readable in TABLES.items() if readable and name not in (*OF_STUDY, ATTACKERS)
]
COSTS = "costs"
NEEDED = ("models", "floors", ATTACKERS, *OF_PAIR, *OF_STUDY)
"""The tables that the page is made of, besides that of costs."""


def page(
    study: str,
    tables: Tables,
    figures: Path,
    names: Sequence[str],
    style: FigureSettings,
    margin: float,
    configuration: str,
) -> str:
    """The report as HTML.

    Args:
        study: Name of the study.
        tables: Those that are `NEEDED`, and that of costs.
        figures: Directory of `<pair>/<figure>.png`.
        names: The figures that are shown, in this order.
        style: Says which attack the headline is.
        margin: Smaller differences count as equivalence.
        configuration: Text of the study's configuration.

    Raises:
        DistilleakError: a figure is missing, or the headline attack was not made.
    """
    findings = Findings(tables, style.headline_attack, margin)
    parts = []
    for pair in pairs_of(tables):
        attack = headline(tables, pair, style)
        parts.append(
            {
                "pair": pair,
                "members": pool_size(tables["split"], pair, "member"),
                "nonmembers": pool_size(tables["split"], pair, "nonmember"),
                "best_blind": bar.best_blind(tables, pair),
                "warning": bar.warning(tables, pair),
                "answer": answer.answer(tables, pair, attack),
                "figures": [_figure(figures / pair, name) for name in names],
                "tables": map(as_html, printed(findings.of_pair(pair), OF_PAIR)),
            }
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.jinja").render(
        study=study,
        attack=findings.said(style.headline_attack),
        attackers=map(as_html, printed(findings, [ATTACKERS])),
        parts=parts,
        conditions=map(as_html, printed(findings, OF_STUDY)),
        costs=map(as_html, printed(findings, [COSTS])),
        versions=versions(),
        configuration=configuration,
    )


def printed(findings: Findings, names: Iterable[str]) -> list[Printed]:
    """The readable tables that have a row in this study."""
    found = [printed for name in names for printed in load(name).printed(findings)]
    return [printed for printed in found if printed.rows]


def _figure(directory: Path, name: str) -> dict[str, Any]:
    module = catalogue.load("figures", name)
    file = directory / f"{name}.png"
    try:
        png = base64.b64encode(file.read_bytes()).decode("ascii")
    except FileNotFoundError as error:
        raise DistilleakError(f"{file}: no such figure") from error
    return {"name": name, "title": module.TITLE, "caption": module.CAPTION, "png": png}
