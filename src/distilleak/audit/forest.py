"""The figure of an audit: the AUC of every attack on every model, against blind bar and limit."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from distilleak.audit.verdict import Blind, Estimate, Model, Verdict
from distilleak.audit.wording import SIGNS, WORDS, number, outcomes
from distilleak.figures import _style
from distilleak.files import atomic
from distilleak.settings.figures import FigureSettings

NAME = "forest"
TITLE = "AUC of every attack on every model"
CAPTION = (
    "Diamonds: the attacker who picks an attack on other records than those on which it is "
    "judged; circles: each attack by itself. Bars: intervals. Shaded: what the best classifier "
    "reaches that never sees a model; an attack that does not get beyond it shows nothing about "
    "membership. Dashed: the limit of the policy. Dotted: chance."
)
PICKS = "picks the attack"
"""The row of the attacker who picks."""
_COLUMNS = 3
_CHANCE = 0.5
_MARGIN = 0.02  # of AUC, beside what is drawn


def draw(verdict: Verdict, style: FigureSettings) -> Figure:
    """Draw a panel for each model, with a row for each attack; all share their axes."""
    attacks = list(dict.fromkeys(row.attack for model in verdict.models for row in model.attacks))
    rows = [PICKS, *attacks]
    columns = min(_COLUMNS, len(verdict.models))
    lines = -(-len(verdict.models) // columns)
    figure, grid = _style.panels(
        style, 1.1 + lines * (0.5 + 0.19 * len(rows)), lines, columns, sharex=True, sharey=True
    )
    panels = _style.switch_off_unused(grid, len(verdict.models))
    limit = verdict.policy.max_auc
    for axes, model in zip(panels, verdict.in_order(), strict=True):
        axes.set_title(_heading(model))
        axes.grid(axis="x")
        _bars(axes, verdict.blind, limit)
        _point(axes, 0, model.auc, marker="D", colour=_style.BLACK)
        for attack in model.attacks:
            _point(axes, rows.index(attack.attack), attack.auc, marker="o", colour=_style.BLUE)
    for axes in panels[-columns:]:
        axes.set_xlabel("AUC (0.5 = chance)")
        axes.tick_params(labelbottom=True)
    first = panels[0]
    first.set_yticks(range(len(rows)), rows)
    first.set_ylim(len(rows) - 0.5, -0.5)
    first.set_xlim(*_range(verdict, limit))
    for axes in grid[:, 0]:
        axes.set_ylabel("attack")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    _style.title(figure, style, f"{TITLE} ({verdict.study})")
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)  # a name may have dollars in it
    return figure


def save(verdict: Verdict, style: FigureSettings, files: Mapping[str, Path]) -> None:
    """Draw the figure and write it to `files`, by format: "png" or "pdf"."""
    with matplotlib.style.context(["default", _style.parameters(style)]):
        figure = draw(verdict, style)
        for kind, file in files.items():
            with atomic(file) as temporary:
                figure.savefig(temporary, format=kind, metadata=_style.METADATA[kind])


def alternative(verdict: Verdict) -> str:
    """What the figure shows, in words, for whoever does not see it."""
    found = "; ".join(f"{model.name} {number(model.auc)}" for model in verdict.in_order())
    return (
        f"Forest plot: {outcomes(verdict)}. AUC of the attacker who picks the attack: {found}. "
        f"The best classifier that never sees a model has {number(verdict.blind.estimate())}, and "
        f"the limit of the policy is {verdict.policy.max_auc:g}."
    )


def _heading(model: Model) -> str:
    if model.verdict is None:
        return model.name
    return f"{model.name}: {SIGNS[model.verdict]} {WORDS[model.verdict].lower()}"


def _bars(axes: Axes, blind: Blind, limit: float) -> None:
    """What an AUC has to get beyond, and what it must not exceed."""
    axes.axvline(_CHANCE, color=_style.BLACK, ls=":", lw=0.9, zorder=1, label="chance")
    if blind.low is not None and blind.high is not None:
        label = "best blind classifier, with interval"
        axes.axvspan(blind.low, blind.high, color=_style.GREY, alpha=0.25, lw=0, label=label)
    if blind.auc is not None:
        axes.axvline(blind.auc, color=_style.GREY, linewidth=0.9, zorder=1)
    label = "limit of the policy"
    axes.axvline(limit, color=_style.VERMILION, linestyle="--", zorder=1, label=label)


def _point(axes: Axes, row: int, found: Estimate, marker: str, colour: str) -> None:
    """A number and its interval in a row; nothing where it was not measured."""
    if found.value is None:
        return
    ends = None
    if found.low is not None and found.high is not None:
        ends = np.clip([[found.value - found.low], [found.high - found.value]], 0, None)
    axes.errorbar([found.value], [row], xerr=ends, fmt=marker, color=colour, markersize=4)


def _range(verdict: Verdict, limit: float) -> tuple[float, float]:
    """The part of the axis on which all that is drawn lies."""
    drawn: Sequence[Estimate] = [
        verdict.blind.estimate(),
        *(model.auc for model in verdict.models),
        *(attack.auc for model in verdict.models for attack in model.attacks),
    ]
    ends = [end for found in drawn for end in (found.low, found.value, found.high)]
    known = [_CHANCE, limit, *(end for end in ends if end is not None)]
    return min(known) - _MARGIN, max(known) + _MARGIN
