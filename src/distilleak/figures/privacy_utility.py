"""What each model pays in utility for what it keeps private."""

import numpy as np
from matplotlib.figure import Figure

from distilleak.figures import _style
from distilleak.figures._labels import label_points
from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import Tables, headline, models_of, per_model, pick

TITLE = "Leakage against utility"
CAPTION = (
    "Held-out loss (mean negative log-likelihood in nats per token on the holdout pool, lower is "
    "better) against the AUC of the headline attack (0.5, dashed, is chance). Lower left is good "
    "on both. Bars: 95 % bootstrap intervals, pooled over seeds. Dotted: the AUC of the best "
    "classifier that never saw a model. Votes are attacks on several students, not models, so they "
    "have no loss and are left out. Grey inside: attacked without a part that whoever holds the "
    "weights can take out, at the loss of what is released. Numbers: metrics.csv (heldout_loss, "
    "auc), blind.csv."
)
TABLES = ("models", "metrics", "blind")


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw one labelled point per model that has both a held-out loss and an AUC."""
    models = models_of(tables, pair)
    attack = headline(tables, pair, style)
    loss = per_model(tables, pair, metric="heldout_loss")
    auc = per_model(tables, pair, metric="auc", attack=attack)
    both = [model for model in loss.index if model in auc.index]
    if not both:
        return _style.sentence(style, f"No model of the pair {pair} has both an AUC and a loss.")
    loss, auc = loss.loc[both], auc.loc[both]

    figure, grid = _style.panels(style, 4.6)
    axes = grid[0, 0]
    looks = _style.looks(models)
    for row, model in enumerate(both):
        axes.errorbar(
            loss["value"].iloc[[row]],
            auc["value"].iloc[[row]],
            xerr=_style.whiskers(loss.iloc[[row]]),
            yerr=_style.whiskers(auc.iloc[[row]]),
            fmt=looks[model].marker,
            color=looks[model].colour,
            markerfacecolor=looks[model].face,
            markersize=9 if looks[model].marker == "*" else 6,
            elinewidth=0.7,
        )
    axes.margins(0.12)
    axes.axhline(0.5, color=_style.GREY, linestyle="--", linewidth=1, zorder=0, label="chance")
    blind = pick(tables["blind"], pair=pair)["auc"].max()
    if np.isfinite(blind):
        label = f"best classifier that never saw a model: {blind:.3f}"
        axes.axhline(blind, color="black", linestyle=":", linewidth=1, zorder=0, label=label)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1)
    axes.grid(visible=True)
    axes.set_xlabel("held-out loss (nats per token, lower is better)")
    axes.set_ylabel(f"AUC of the {attack} attack (0.5 = chance)")
    _style.title(figure, style, f"{TITLE} ({pair}, attack {attack})")
    left, right = axes.get_xlim()
    label_points(
        figure,
        axes,
        [
            (x, y, _style.folded(models.loc[model, "label"]))
            for model, x, y in zip(both, loss["value"], auc["value"], strict=True)
        ],
        [
            *((left, line, right, line) for line in (0.5, blind) if np.isfinite(line)),
            *zip(loss["low"], auc["value"], loss["high"], auc["value"], strict=True),
            *zip(loss["value"], auc["low"], loss["value"], auc["high"], strict=True),
        ],
    )
    return figure
