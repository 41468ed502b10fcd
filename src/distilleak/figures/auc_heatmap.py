"""The AUC of every attack on every model, as a table in colour."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from distilleak.figures import _style
from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import Tables, headline, models_of, pick

TITLE = "AUC of every attack on every model"
CAPTION = (
    "Area under the ROC curve of each attack on each model, members against "
    "non-members, pooled over seeds; 0.50 is chance, colour shows the distance from it. Bold: the "
    "95 % bootstrap interval excludes 0.5. The black line on the colour bar is the best "
    "classifier that never saw a model (blind). Numbers: metrics.csv (metric auc) and blind.csv."
)
TABLES = ("models", "metrics", "blind")

_CROWD = 20
"""More models than this do not fit beside each other."""
_LEAST_SPAN = 0.1  # so that noise around 0.5 is not stretched over the whole colour scale
_COLOURS = LinearSegmentedColormap.from_list(
    "distilleak", [_style.BLUE, "#9cc6e0", "#ffffff", "#f0b48a", _style.VERMILION]
)


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw the heat map; models in drawing order, across or, if they are many, down; the headline
    attack comes first."""
    models = models_of(tables, pair)
    first = headline(tables, pair, style)
    rows = pick(tables["metrics"], seed="all", pair=pair, metric="auc")
    if rows.empty:
        return _style.sentence(style, f"No attack has been scored for the pair {pair}.")
    attacks = sorted(set(rows["attack"]), key=lambda attack: (attack != first, attack))
    shown = [model for model in models.index if model in set(rows["model"])]
    values, low, high = (
        rows.pivot(index="attack", columns="model", values=name).reindex(attacks)[shown].to_numpy()
        for name in ("value", "low", "high")
    )
    blind = pick(tables["blind"], pair=pair)["auc"].max()
    # The bar has to be on the scale, however weak the attacks are.
    span = max(_LEAST_SPAN, float(np.nanmax(np.abs(np.append(values, blind) - 0.5))))

    down = len(shown) > _CROWD
    if down:
        values, low, high = values.T, low.T, high.T
    figure, grid = _style.panels(style, 1.9 + (0.2 if down else 0.27) * len(values))
    axes = grid[0, 0]
    axes.set_facecolor("#e8e8e8")
    image = axes.imshow(values, cmap=_COLOURS, vmin=0.5 - span, vmax=0.5 + span, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        decided = low[row, column] > 0.5 or high[row, column] < 0.5
        axes.text(
            column,
            row,
            "–" if np.isnan(value) else f"{value:.2f}",
            ha="center",
            va="center",
            fontsize="small" if len(shown) > 10 and not down else "medium",
            weight="bold" if decided else "normal",
            color="white" if abs(value - 0.5) > 0.8 * span else "black",
        )
    kinds = _style.released_kinds(models)[shown].to_numpy()
    labels = [str(label) for label in models.loc[shown, "label"]]
    for place in np.flatnonzero(kinds[1:] != kinds[:-1]):
        line = axes.axhline if down else axes.axvline
        line(place + 0.5, color="white", linewidth=4)
    if down:
        axes.set_xticks(range(len(attacks)), attacks, rotation=90 if len(attacks) > 10 else 30)
        axes.set_yticks(range(len(labels)), labels)
    else:
        folded = [_style.folded(label) for label in labels]
        axes.set_xticks(range(len(labels)), folded, rotation=90 if len(labels) > 6 else 0)
        axes.set_yticks(range(len(attacks)), attacks)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("attack" if down else "model")
    axes.set_ylabel("model" if down else "attack")
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label("AUC (0.5 = chance)")
    bar.outline.set_visible(False)
    if np.isfinite(blind):
        bar.ax.axhline(blind, color="black", linewidth=1.5)
    _style.title(figure, style, f"{TITLE} ({pair})")
    return figure
