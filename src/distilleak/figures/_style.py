"""One look for all figures: colours that colour-blind readers distinguish, and never colour alone.

Colours are those of Okabe and Ito (2008), "Color Universal Design", without the yellow, which
vanishes on white paper. Every line also has a dash and a marker, every area a hatch.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from distilleak.settings.figures import FigureSettings

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#767676"
MEMBER, NONMEMBER = VERMILION, BLUE
_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "d")
_UNDONE = "#BBBBBB"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (2, 1)))

# Without these the bytes would change with the clock and with the version of matplotlib.
METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What a file says of itself, by format."""

Panels = Any  # (rows, columns) of Axes, an array of objects


@dataclass(frozen=True)
class Look:
    """How a model is drawn, in every figure alike."""

    colour: str
    marker: str
    face: str
    dash: Any


def looks(models: pd.DataFrame) -> dict[str, Look]:
    """A look for each model of `models` (from `models_of`).

    The teacher is a black star, students have filled markers, ensembles hollow ones. An undone
    model looks like the one that is released, in grey inside.
    """
    found = {str(model): Look(BLACK, "*", BLACK, "-") for model in models.index}
    for kinds, hollow in ((["student"], False), (["vote", "mixture"], True)):
        for i, model in enumerate(models.index[models["kind"].isin(kinds)]):
            colour = _COLOURS[i % len(_COLOURS)]
            found[str(model)] = Look(
                colour,
                _MARKERS[i % len(_MARKERS)],
                "white" if hollow else colour,
                _DASHES[i % len(_DASHES)],
            )
    for model, of in models.loc[models["kind"] == "undone", "of"].items():
        found[str(model)] = replace(found[of], face=_UNDONE)
    return found


def released_kinds(models: pd.DataFrame) -> "pd.Series[str]":
    """Model -> its kind, for an undone one that of the model that is released."""
    kinds = models["kind"]
    return kinds.where(kinds != "undone", models["of"].map(kinds))


def named_looks(names: Sequence[str]) -> dict[str, Look]:
    """A look for each of some names that are no models."""
    return {
        name: Look(colour, _MARKERS[i % len(_MARKERS)], colour, _DASHES[i % len(_DASHES)])
        for i, name in enumerate(names)
        for colour in [_COLOURS[i % len(_COLOURS)]]
    }


def parameters(style: FigureSettings) -> dict[str, Any]:
    """The matplotlib parameters under which a figure is drawn and saved."""
    return {
        "font.family": "DejaVu Sans",
        "font.size": style.font_size,
        "axes.titlesize": "medium",
        "axes.labelsize": "medium",
        "figure.titlesize": "large",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.6,
        "hatch.linewidth": 0.6,
        "lines.linewidth": 1.3,
        "lines.markersize": 5,
        "errorbar.capsize": 2,
        "legend.frameon": False,
        "pdf.fonttype": 42,
    }


def panels(
    style: FigureSettings, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Panels]:
    """A figure of `height` inches with a grid of axes, (rows, columns)."""
    figure = Figure(figsize=(style.width_inches, height), dpi=style.dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def sentence(style: FigureSettings, text: str) -> Figure:
    """A figure that says in a sentence why there is nothing to draw."""
    figure, grid = panels(style, 1.2)
    grid[0, 0].set_axis_off()
    figure.text(0.5, 0.5, text, ha="center", va="center", wrap=True, style="italic")
    return figure


def title(figure: Figure, style: FigureSettings, text: str) -> None:
    """Write the title of a figure, on as many lines as it needs."""
    letters = int(style.width_inches * 72 / (0.66 * style.font_size))
    figure.suptitle(textwrap.fill(text, letters))


def folded(label: str, letters: int = 18) -> str:
    """A model's label on several lines where it is long."""
    return textwrap.fill(label, letters)


def switch_off_unused(grid: Panels, used: int) -> Sequence[Axes]:
    """The first `used` axes of `grid`, row by row; the others are hidden."""
    for axes in grid.flat[used:]:
        axes.set_axis_off()
    return list(grid.flat[:used])


def whiskers(rows: pd.DataFrame, prefix: str = "") -> NDArray[np.float64]:
    """Distances from the value down to `low` and up to `high`, (2, rows), for error bars.

    `prefix` names another value: "agreement" reads agreement, agreement_low, agreement_high.
    """
    names = (prefix, f"{prefix}_low", f"{prefix}_high") if prefix else ("value", "low", "high")
    value, low, high = (rows[name].to_numpy(np.float64) for name in names)
    return np.stack([value - low, high - value]).clip(min=0.0)
