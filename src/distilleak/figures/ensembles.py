"""Does an ensemble of more students leak less, and vary less from seed to seed?"""

from typing import Any

from matplotlib.figure import Figure

from distilleak.figures import _style
from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import Tables, headline, models_of, pick

TITLE = "Ensembles: leakage against the number of students"
CAPTION = (
    "The headline attack on ensembles, against their number of students; mean over the subsets of "
    "that size. Mixture: a model, the average of the students' next-token distributions. Vote: no "
    "model, but an attacker who holds all of these students, each of whose attack decisions is a "
    "vote. Size 1: the single students. Grey: the mean over the "
    "students of these ensembles, each attacked by itself. Star: a single student as large as all "
    "of them together. What can be undone is attacked undone. Bars: 95 % intervals. Lower row, "
    "where there are several seeds: the standard deviation between seeds of a single ensemble or "
    "student, so lower is steadier. Dotted: chance. Numbers: ensembles.csv."
)
TABLES = ("models", "ensembles")

_PANELS = (
    ("member_accuracy", "member accuracy (share)"),
    ("nonmember_accuracy", "non-member accuracy (share)"),
    ("auc", "AUC (0.5 = chance)"),
    ("heldout_loss", "held-out loss (nats per token)"),
)
_KINDS = (
    ("vote", "s", "--", _style.BLUE, -0.08),
    ("mixture", "o", "-", _style.VERMILION, 0.08),
    ("average", "d", ":", _style.GREY, 0.0),
    ("single", "*", "", _style.GREEN, 0.0),
)


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw a panel per metric with a line per kind of ensemble; below it the spread over seeds."""
    models_of(tables, pair)
    attack = headline(tables, pair, style, "ensembles")
    rows = pick(tables["ensembles"], pair=pair, attack=(attack, ""))
    shown = [panel for panel in _PANELS if panel[0] in set(rows["metric"])]
    if rows["size"].nunique() < 2 or not shown:
        return _style.sentence(style, f"The configuration lists no ensembles for the pair {pair}.")
    several = bool(rows["seed_sd"].notna().any())

    figure, grid = _style.panels(
        style, 5.0 if several else 3.2, 2 if several else 1, len(shown), sharex=True
    )
    for column, (metric, label) in enumerate(shown):
        for kind, marker, dash, colour, shift in _KINDS:
            line = pick(rows, metric=metric, kind=kind).sort_values("size")
            if line.empty:
                continue
            looks: dict[str, Any] = {"marker": marker, "linestyle": dash, "color": colour}
            where, bars = line["size"] + shift, _style.whiskers(line)
            grid[0, column].errorbar(where, line["value"], yerr=bars, label=kind, **looks)
            if several:
                grid[1, column].plot(where, line["seed_sd"], **looks)
        if metric != "heldout_loss":
            grid[0, column].axhline(0.5, color=_style.GREY, linestyle=":", zorder=0)
        grid[0, column].set_ylabel(label)
        grid[-1, column].set_xticks(sorted(set(rows["size"].astype(int))))
    if several:
        seeds = int(rows["seeds"].max())
        for axes in grid[1]:
            axes.set_ylim(bottom=0)
        grid[1, 0].set_ylabel(f"standard deviation\nbetween {seeds} seeds")
    for axes in grid.flat:
        axes.grid(visible=True)
    figure.supxlabel(
        "students in the ensemble (number)", x=0.12, ha="left", fontsize=style.font_size
    )
    handles, labels = grid[0, -1 if len(shown) == 1 else -2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=4)
    _style.title(figure, style, f"{TITLE} ({pair}, attack {attack})")
    return figure
