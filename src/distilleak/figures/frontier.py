"""Does a student leak less than the trivial alternatives that are as useful?"""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distilleak.figures import _style
from distilleak.figures._labels import label_points
from distilleak.figures._tables import models_of, pick
from distilleak.figures.base import Tables
from distilleak.settings.figures import FigureSettings

TITLE = "Leakage against utility, and the trivial frontier"
CAPTION = (
    "Top: held-out loss (nats per token, lower is more useful) against the AUC of the strongest "
    "of all attacks (0.5, dotted, is chance); lower left is good on both. Grey: the trivial "
    "alternatives, such as fewer epochs; the line joins those that span their frontier: between "
    "them lies what the toss of a coin between the two gives. Points of one method are joined in "
    "the order of the configuration. Of many models those on a front, strong ones and those better "
    "or worse are named. Bottom: leakage minus that of the trivial frontier at the same "
    "loss; left of zero a student leaks less than doing something trivial. Filled: better or "
    "worse after Holm correction; hollow: not distinguishable, or more or less useful than all "
    "alternatives. Bars: 95 % intervals, over seeds where there are several. The attack and the "
    "alternatives are picked on the other seeds. Numbers: frontier.csv."
)
TABLES = ("models", "frontier")
_SHOWN = "auc"
_TRIVIAL = "trivial"
_STRONG = "strong"
_SINGLE = ("combination", "mixture")
_DECIDED = ("better", "worse")
_CROWD = 15
"""More models than this cannot all be named beside their points; the panel below names them."""


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw all models by loss and AUC, and below them each one's difference from the frontier."""
    models = models_of(tables, pair)
    found = pick(tables["frontier"], pair=pair, metric=_SHOWN)
    if found.empty:
        return _style.sentence(style, f"No model of the pair {pair} has both an AUC and a loss.")
    rows = found.merge(models[["method", "label"]], left_on="model", right_index=True, sort=False)
    trivial = rows[rows["role"] == _TRIVIAL]
    others = rows[rows["role"] != _TRIVIAL]
    strong = others["role"] == _STRONG
    others = others.assign(group=others["method"].where(~strong, _STRONG))
    compared = others[others["difference"].notna()]
    looks = _style.named_looks(list(dict.fromkeys(map(str, others["group"]))))

    heights = [4.6, 0.6 + 0.17 * len(compared)][: 2 if len(compared) else 1]
    figure, grid = _style.panels(
        style, sum(heights), len(heights), 1, gridspec_kw={"height_ratios": heights}
    )
    axes = grid[0, 0]
    _draw_points(axes, trivial, "o", _style.GREY, 4, _TRIVIAL)
    best = trivial[trivial["trivial_front"] == "True"].sort_values("loss", kind="stable")
    axes.plot(best["loss"], best["leakage"], color=_style.GREY, linewidth=2.5, alpha=0.5, zorder=0)
    for group, look in looks.items():
        line = others[others["group"] == group]
        name = "strong alternatives" if group == _STRONG else group.replace("_", " ")
        _draw_points(axes, line, look.marker, look.colour, 5.5, name)
        # Combinations and ensembles have no strength along which they could be joined.
        sweep = line[(line["role"] == "method") & ~line["method"].isin(_SINGLE)]
        axes.plot(
            sweep["loss"], sweep["leakage"], color=look.colour, linewidth=0.8, linestyle=look.dash
        )
    axes.axhline(0.5, color=_style.GREY, linestyle=":", zorder=0)
    axes.grid(visible=True)
    axes.margins(0.1)
    axes.set_xlabel("held-out loss (nats per token, lower is better)")
    axes.set_ylabel("AUC of the strongest attack (0.5 = chance)")
    figure.legend(loc="outside lower center", ncols=4)
    _style.title(figure, style, f"{TITLE} ({pair})")
    if len(compared):
        _draw_differences(grid[1, 0], compared, looks)
    named = rows
    if len(rows) > _CROWD:
        fronts = (rows["front"] == "True") | (rows["trivial_front"] == "True")
        named = rows[fronts | (rows["role"] == _STRONG) | rows["verdict"].isin(_DECIDED)]
    label_points(
        figure,
        axes,
        list(zip(named["loss"], named["leakage"], map(str, named["label"]), strict=True)),
        [],
    )
    return figure


def _draw_points(
    axes: Axes, rows: pd.DataFrame, marker: str, colour: str, size: float, name: str
) -> None:
    axes.errorbar(
        rows["loss"],
        rows["leakage"],
        xerr=_style.whiskers(rows, "loss"),
        yerr=_style.whiskers(rows, "leakage"),
        fmt=marker,
        color=colour,
        markersize=size,
        elinewidth=0.5,
        label=name,
    )


def _draw_differences(axes: Axes, compared: pd.DataFrame, looks: Mapping[str, _style.Look]) -> None:
    rows = compared.rename(columns={"difference": "value"})
    for place, (_, row) in enumerate(rows.iterrows()):
        look = looks[str(row["group"])]
        decided = row["verdict"] in _DECIDED
        axes.errorbar(
            row["value"],
            place,
            xerr=_style.whiskers(rows.iloc[[place]]),
            fmt=look.marker,
            color=look.colour,
            markerfacecolor=look.colour if decided else "white",
            elinewidth=0.9,
        )
    axes.axvline(0, color=_style.GREY, linestyle=":")
    axes.set_yticks(range(len(rows)), list(map(str, rows["label"])))
    axes.invert_yaxis()
    axes.grid(visible=True, axis="x")
    axes.set_xlabel("AUC minus that of the trivial frontier at the same loss (left: leaks less)")
