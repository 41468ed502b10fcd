"""Does a student leak less than the trivial alternatives that are as useful?"""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distilleak.figures import _style
from distilleak.figures._labels import label_points
from distilleak.floors.floor import FLOORS, USELESS
from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import AT_EQUAL_UTILITY, UTILITIES, Tables, models_of, pick
from distilleak.tables.wording import METRIC_NAMES

TITLE = "Leakage against utility, and the trivial frontier"
CAPTION = (
    "Top: held-out loss (nats per token, lower is more useful) against leakage to the strongest "
    "of all attacks: AUC, TPR at 1 % FPR and member accuracy (dotted: chance); lower left is good"
    " on both. Grey: the trivial alternatives, such as fewer epochs (far less useful ones lie "
    "outside). The line joins those that span their frontier: a coin toss that releases one of "
    "two alternatives gives the points between them. Crosses: count models of public text, and of"
    " that and the members; right of the dashed line models predict worse than pairs of words in "
    "public text do, and get no verdict. Points of one method that differ in strength alone are "
    "joined. Where there are many models, only those on a front, strong alternatives and better "
    "models are labelled. Bottom: leakage minus that of the trivial frontier at the same loss; "
    "left of zero a student leaks less than the trivial alternatives do. Filled: better or worse "
    "after Holm correction, by every measure of utility; hollow: anything else. Bars: 95 % "
    "intervals, over seeds where there are several. The attack and the alternatives are picked on"
    " the other seeds, or on the only one; attacks first undo what can be undone, where that finds "
    "more. Numbers: frontier.csv."
)
TABLES = ("models", "frontier")
_TRIVIAL = "trivial"
_COUNTED = "count model"
_STRONG = "strong"
_DECIDED = ("better", "worse")
_CROWD = 15
"""More models than this cannot all be named beside their points; the panels below name them."""


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw all models by loss and leakage, and below each one's difference from the frontier."""
    models = models_of(tables, pair)
    found = pick(tables["frontier"], pair=pair, utility=next(iter(UTILITIES)))
    if found.empty:
        return _style.sentence(style, f"No model of the pair {pair} has both an AUC and a loss.")
    counted = found[found["role"] == _COUNTED]
    rows = found.merge(
        models[["method", "label", "sweep"]], left_on="model", right_index=True, sort=False
    )
    # Combinations and strong alternatives are not a method each.
    rows["group"] = rows["method"].where(rows["role"] != _STRONG, _STRONG)
    groups = [str(group) for group in rows.loc[rows["role"] != _TRIVIAL, "group"].unique()]
    looks = _style.named_looks([group for group in groups if group != _STRONG])
    if _STRONG in groups:
        looks[_STRONG] = _style.Look(_style.BLACK, "*", _style.BLACK, "-")
    first = pick(rows, metric=next(iter(AT_EQUAL_UTILITY)))
    compared = first[first["difference"].notna()]

    heights = [3.8, 2.3, 0.7 + 0.17 * len(compared)][: 3 if len(compared) else 2]
    figure, grid = _style.panels(
        style, sum(heights) + 0.6, len(heights), 1, gridspec_kw={"height_ratios": heights}
    )
    large = grid[0, 0]
    small = _divided(grid[1, 0], 2)
    for axes, (metric, chance) in zip([large, *small], AT_EQUAL_UTILITY.items(), strict=True):
        _draw_points(axes, pick(rows, metric=metric), looks)
        _draw_counted(axes, pick(counted, metric=metric))
        best = pick(found, metric=metric, trivial_front=True).sort_values("loss", kind="stable")
        axes.plot(
            best["loss"], best["leakage"], color=_style.GREY, linewidth=2.5, alpha=0.5, zorder=0
        )
        axes.axhline(chance, color=_style.GREY, linestyle=":", zorder=0)
        axes.set_ylabel(METRIC_NAMES[metric])
        axes.set_xlabel("held-out loss (nats per token, lower is better)")
    figure.legend(*large.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    # A useless alternative far to the right would press all others together.
    near = counted["trivial_front"] | (counted["model"] == USELESS)
    concerned = pd.concat([rows[(rows["role"] != _TRIVIAL) | rows["trivial_front"]], counted[near]])
    if len(concerned):
        low, high = concerned["loss_low"].min(), concerned["loss_high"].max()
        for axes in (large, *small):
            axes.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    _style.title(figure, style, f"{TITLE} ({pair})")
    if len(compared):
        columns = _divided(grid[2, 0], len(AT_EQUAL_UTILITY))
        for place, (axes, metric) in enumerate(zip(columns, AT_EQUAL_UTILITY, strict=True)):
            part = pick(rows, metric=metric).set_index("model").reindex(compared["model"])
            _draw_differences(axes, part, looks)
            names = [str(text) for text in compared["label"]] if place == 0 else []
            axes.set_yticks(range(len(part)), names or [""] * len(part))
            axes.set_xlabel(f"{METRIC_NAMES[metric]}:\nminus the frontier")
    named = first
    if len(first) > _CROWD:
        shown = first["front"] & (first["role"] != _TRIVIAL)
        shown |= first["trivial_front"] | (first["role"] == _STRONG)
        named = first[shown | (first["agreed"] == "better")]
    label_points(
        figure,
        large,
        [
            *zip(named["loss"], named["leakage"], map(str, named["label"]), strict=True),
            *(
                (row["loss"], row["leakage"], FLOORS[row["model"]].label)
                for row in pick(counted[near], metric=next(iter(AT_EQUAL_UTILITY))).to_dict(
                    "records"
                )
            ),
        ],
        [],
    )
    return figure


def _divided(axes: Axes, number: int) -> list[Axes]:
    """The place of `axes`, divided into `number` axes beside each other."""
    place = axes.get_subplotspec()
    assert place is not None
    figure = axes.get_figure(root=True)
    assert figure is not None
    axes.remove()
    beside = place.subgridspec(1, number)
    return [figure.add_subplot(beside[0, column]) for column in range(number)]


def _draw_points(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, _style.Look]) -> None:
    trivial = rows[rows["role"] == _TRIVIAL]
    _draw_group(axes, trivial, "o", _style.GREY, 4, _TRIVIAL)
    others = rows[rows["role"] != _TRIVIAL]
    for group, look in looks.items():
        line = others[others["group"] == group]
        name = "strong alternatives" if group == _STRONG else group.replace("_", " ")
        _draw_group(axes, line, look.marker, look.colour, 5, name)
        sweep = line[line["sweep"] != ""]
        axes.plot(
            sweep["loss"], sweep["leakage"], color=look.colour, linewidth=0.8, linestyle=look.dash
        )
    axes.grid(visible=True)
    axes.margins(0.1)


def _draw_counted(axes: Axes, rows: pd.DataFrame) -> None:
    _draw_group(axes, rows, "x", _style.GREY, 5, "count models")
    for loss in rows.loc[rows["model"] == USELESS, "loss"]:
        axes.axvline(loss, color=_style.GREY, linestyle="--", zorder=0)


def _draw_group(
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
    """A line per model, from the top."""
    rows = compared.rename(columns={"difference": "value"})
    for place in range(len(rows)):
        row = rows.iloc[place]
        look = looks[str(row["group"])]
        decided = row["agreed"] in _DECIDED
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
    axes.invert_yaxis()
    axes.grid(visible=True, axis="x")
