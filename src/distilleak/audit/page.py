"""The page of an audit: the verdict first, then its evidence; it opens without a network."""

import base64
from pathlib import Path

import jinja2

import distilleak
from distilleak.audit import forest, wording
from distilleak.audit.verdict import Estimate, Verdict
from distilleak.audit.wording import Written

_PACKAGE = Path(distilleak.__file__).parent
_MISSING = Estimate(value=None, low=None, high=None)


def page(verdict: Verdict, figure: Path) -> str:
    """The page as HTML. It computes nothing: every number stands in verdict.json.

    Args:
        verdict: What was found.
        figure: PNG file of the forest plot, which becomes a part of the page.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([_PACKAGE / "audit", _PACKAGE / "report"]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    png = base64.b64encode(figure.read_bytes()).decode("ascii")
    return environment.get_template("page.html.jinja").render(
        audit=verdict,
        models=verdict.in_order(),
        attacks=attacks(verdict),
        threats=wording.threats(verdict),
        words=wording,
        png=png,
        figure={
            "title": forest.TITLE,
            "caption": forest.CAPTION,
            "alt": forest.alternative(verdict),
        },
    )


def attacks(verdict: Verdict) -> list[tuple[str, str, list[tuple[Written, Written]]]]:
    """A row for each attack: its name, its threat model, AUC and members found of each model."""
    models = verdict.in_order()
    of_model = [{row.attack: row for row in model.attacks} for model in models]
    named = {row.attack: row.threat for model in models for row in model.attacks}
    return [
        (
            name,
            threat,
            [
                (
                    wording.number(found[name].auc if name in found else _MISSING),
                    wording.per_thousand(found[name].tpr if name in found else _MISSING),
                )
                for found in of_model
            ],
        )
        for name, threat in named.items()
    ]
