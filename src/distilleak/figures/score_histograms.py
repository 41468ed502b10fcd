"""The scores of members and of non-members, model by model."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distilleak.figures import _style
from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import Tables, headline, models_of, pick

TITLE = "Scores of members and of non-members"
CAPTION = (
    "Histograms of the headline attack's score per record on each model: members filled and "
    "hatched, non-members as a dashed outline; higher scores indicate membership. Each histogram "
    "has area 1 and each model its own axes, as scores of different models are not on one scale. "
    "An attack works to the extent that the two differ. No intervals. Numbers: histograms.csv."
)
TABLES = ("models", "histograms")

_ACROSS = 4


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw one small panel per model, in drawing order."""
    models = models_of(tables, pair)
    attack = headline(tables, pair, style, "histograms")
    bins = pick(tables["histograms"], pair=pair, attack=attack)
    if bins.empty:
        return _style.sentence(style, f"No score histograms have been made for the pair {pair}.")
    shown = [model for model in models.index if model in set(bins["model"])]
    bands = -(-len(shown) // _ACROSS)

    figure, grid = _style.panels(style, 1.1 + 1.35 * bands, bands, _ACROSS)
    for axes, model in zip(_style.switch_off_unused(grid, len(shown)), shown, strict=True):
        for pool in ("nonmember", "member"):
            chosen = pick(bins, model=model, pool=pool).sort_values("left")
            if len(chosen):
                _histogram(
                    axes, pool, [*chosen["left"], chosen["right"].iloc[-1]], chosen["density"]
                )
        axes.set_title(_style.folded(models.loc[model, "label"]))
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=4)
        axes.set_ylim(bottom=0)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=2)
    figure.supxlabel(
        f"score of the {attack} attack (unit of the attack)",
        x=0.05,
        ha="left",
        fontsize=style.font_size,
    )
    figure.supylabel("density of records (area 1)", fontsize=style.font_size)
    _style.title(figure, style, f"{TITLE} ({pair}, attack {attack})")
    return figure


def _histogram(axes: Axes, pool: str, edges: list[float], density: "pd.Series[float]") -> None:
    if pool == "member":
        axes.stairs(
            density,
            edges,
            fill=True,
            facecolor="#f3c9a9",
            edgecolor=_style.MEMBER,
            hatch="////",
            linewidth=0.8,
            label="members",
        )
    else:
        axes.stairs(
            density,
            edges,
            color=_style.NONMEMBER,
            linestyle="--",
            linewidth=1.4,
            zorder=3,
            label="non-members",
        )
