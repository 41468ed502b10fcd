"""How many members, and how many non-members, the headline attack gets right on each model."""

import numpy as np
from matplotlib.figure import Figure

from distilleak.figures import _style
from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import DECISIONS, Tables, headline, models_of, per_model

TITLE = "Attack accuracy on members and on non-members"
CAPTION = (
    "Share of members that the headline attack calls members (filled circles) and share of "
    "non-members that it calls non-members (open squares), and their mean, the balanced "
    "accuracy (right). Thresholds are cross-fitted; an attacker who holds the students of an "
    "ensemble decides by the majority of their votes. Bars: 95 % bootstrap intervals, pooled "
    "over seeds. Dotted line: chance, which is 0.5 for the balanced accuracy; a guess trades "
    "accuracy on one side for accuracy on the other. Numbers: metrics.csv (thresholds "
    "cross_fitted and majority)."
)
TABLES = ("models", "metrics")

_SIDES = (
    ("member_accuracy", "members", "o", _style.MEMBER, _style.MEMBER, -0.14),
    ("nonmember_accuracy", "non-members", "s", _style.NONMEMBER, "white", 0.14),
)


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw a row per model: both accuracies on the left, the balanced accuracy on the right."""
    models = models_of(tables, pair)
    attack = headline(tables, pair, style)
    wanted = {"attack": attack, "threshold": DECISIONS}
    balanced = per_model(tables, pair, metric="balanced_accuracy", **wanted)
    if balanced.empty:
        return _style.sentence(style, f"No attack has been scored for the pair {pair}.")
    place = {model: row for row, model in enumerate(balanced.index)}

    figure, grid = _style.panels(
        style, 1.5 + 0.26 * len(place), 1, 2, sharey=True, width_ratios=(3, 2)
    )
    left, right = grid[0]
    for metric, label, marker, colour, face, shift in _SIDES:
        rows = per_model(tables, pair, metric=metric, **wanted)
        left.errorbar(
            rows["value"],
            [place[model] + shift for model in rows.index],
            xerr=_style.whiskers(rows),
            fmt=marker,
            color=colour,
            markerfacecolor=face,
            label=label,
        )
    right.errorbar(
        balanced["value"],
        np.arange(len(place)),
        xerr=_style.whiskers(balanced),
        fmt="D",
        color="black",
        markersize=4,
    )
    for axes in (left, right):
        axes.axvline(0.5, color="black", linestyle=":", zorder=1)
        axes.grid(axis="x")
    left.set_ylim(len(place) - 0.5, -0.5)
    left.set_yticks(
        range(len(place)), [_style.folded(models.loc[model, "label"], 24) for model in place]
    )
    left.set_ylabel("model")
    left.set_xlabel("accuracy\n(share of records called rightly)")
    right.set_xlabel("balanced accuracy\n(0.5 = chance)")
    left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1)
    _style.title(figure, style, f"{TITLE} ({pair}, attack {attack})")
    return figure
