"""ROC curves of the headline attack on logarithmic axes, where the confident errors show."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distilleak.figures import _style
from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import Tables, headline, models_of, pick, pool_size, uncrowded

TITLE = "ROC curves at low false-positive rates"
CAPTION = (
    "True-positive rate of the headline attack (share of members found) against its false-positive "
    "rate (share of non-members accused), both axes logarithmic, so that points at 0 are not "
    "shown; the grey diagonal is chance. The smallest false-positive rate that can be measured is "
    "one record; the number of non-members is given below the axis. Where there are many students, "
    "only the first of each method is shown. No intervals are drawn: the TPR at 1 % FPR has its "
    "interval in the summary table. Numbers: roc.csv, split.csv."
)
TABLES = ("models", "metrics", "roc", "split")


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw the teacher and the students on the left, the teacher and the ensembles on the right."""
    models = models_of(tables, pair)
    attack = headline(tables, pair, style)
    curves = pick(tables["roc"], pair=pair, attack=attack)
    if curves.empty:
        return _style.sentence(style, f"No ROC curve has been made for the pair {pair}.")
    shown = uncrowded(models[models.index.isin(curves["model"])])
    groups: list[tuple[str, tuple[str, ...]]] = [("teacher and students", ("teacher", "student"))]
    kinds_of = _style.released_kinds(shown)
    if kinds_of.isin(["vote", "mixture"]).any():
        groups.append(("teacher and ensembles", ("teacher", "vote", "mixture")))

    figure, grid = _style.panels(style, 4.8, 1, len(groups), sharex=True, sharey=True)
    looks = _style.looks(models)
    floor = float(curves[["fpr", "tpr"]].where(lambda rate: rate > 0).min().min())
    for axes, (title, kinds) in zip(grid[0], groups, strict=True):
        axes.plot([floor, 1], [floor, 1], color="#bbbbbb", linewidth=3, zorder=0)
        for model in shown.index[kinds_of.isin(kinds)]:
            curve = pick(curves, model=model)
            _line(axes, curve, looks[model], models.loc[model, "label"])
        axes.set(xscale="log", yscale="log", xlim=(floor, 1), ylim=(floor, 1), title=title)
        axes.grid(visible=True)
        axes.set_xlabel(
            f"false-positive rate (log scale)\n{pool_size(tables['split'], pair, 'nonmember')}"
        )
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.22),
            ncols=2,
            handlelength=3.5,
            fontsize="small",
        )
    grid[0, 0].set_ylabel("true-positive rate (log scale)")
    _style.title(figure, style, f"{TITLE} ({pair}, attack {attack})")
    return figure


def _line(axes: Axes, curve: pd.DataFrame, look: _style.Look, label: str) -> None:
    seen = curve[(curve["fpr"] > 0) & (curve["tpr"] > 0)]
    axes.plot(
        seen["fpr"],
        seen["tpr"],
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker,
        markerfacecolor=look.face,
        markevery=0.18,
        markersize=4,
        label=label,
    )
