"""Labels beside the points of a scatter plot that overlap neither each other nor a point."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Box = tuple[float, float, float, float]  # x0, y0, x1, y1

_DISTANCES = (6, 12, 20, 30, 42, 57, 75, 100)  # points
_ANGLES = (0, 180, 45, 315, 135, 225, 90, 270, 20, 340, 160, 200, 65, 295, 115, 245)  # degrees


def label_points(
    figure: Figure,
    axes: Axes,
    points: Sequence[tuple[float, float, str]],
    obstacles: Sequence[Box],
) -> list[Annotation]:
    """Write each point's text at the nearest free place beside it, with a thin leader line.

    Args:
        figure: The figure of `axes`; its layout is settled here, so draw all else before.
        axes: The axes of the points.
        points: (x, y, text) in data coordinates.
        obstacles: What else is not to be written over, in data coordinates.
    """
    figure.draw_without_rendering()
    dots = figure.dpi / 72
    frame = np.array(axes.get_window_extent().extents) / dots
    taken = np.array(
        [_on_paper(axes, (x, y, x, y), dots, margin=4) for x, y, _ in points]
        + [_on_paper(axes, box, dots, margin=1) for box in obstacles]
    )
    notes = []
    for x, y, text in points:
        point = axes.transData.transform((x, y)) / dots
        size = _size(figure, text) / dots
        shift = _free_place(point, size, taken, frame)
        label = _box(point + shift, size)
        taken = np.concatenate([taken, label, _leader(point, label)])
        note = axes.annotate(
            text,
            (x, y),
            xytext=(float(shift[0]), float(shift[1])),
            textcoords="offset points",
            ha="center",
            va="center",
            arrowprops={"arrowstyle": "-", "color": "#888888", "linewidth": 0.5, "shrinkB": 3},
        )
        note.set_in_layout(False)
        notes.append(note)
    return notes


def _free_place(point: Floats, size: Floats, taken: Floats, frame: Floats) -> Floats:
    """The shift from `point`, in points, to the middle of the best place for a text of `size`.

    A covered label cannot be read, a crossed leader line is a nuisance, and near is good: the
    weights say so.
    """
    best, lowest = np.zeros(2), np.inf
    for distance, angle in itertools.product(_DISTANCES, _ANGLES):
        way = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
        shift = way * distance + np.sign(way.round(6)) * size / 2
        label = _box(point + shift, size)
        outside = size.prod() - _shared(label, frame[None])
        covered = _shared(label, taken) + outside
        cost = distance + 10 * covered + 3 * _shared(_leader(point, label), taken)
        if cost < lowest - 1e-6:
            best, lowest = shift, cost
    return best


def _size(figure: Figure, text: str) -> Floats:
    written = figure.text(0, 0, text)
    box = written.get_window_extent()
    written.remove()
    return np.array([box.width, box.height])


def _on_paper(axes: Axes, box: Box, dots: float, margin: float) -> Floats:
    """A box in data coordinates as a box in points, `margin` wider on every side, (4,)."""
    corners = axes.transData.transform(np.reshape(box, (2, 2))) / dots
    return np.concatenate([corners.min(axis=0) - margin, corners.max(axis=0) + margin])


def _box(middle: Floats, size: Floats) -> Floats:
    return np.concatenate([middle - size / 2, middle + size / 2])[None]  # (1, 4)


def _leader(point: Floats, label: Floats) -> Floats:
    """The line from near `point` to the box of its label, as a chain of small boxes, (n, 4)."""
    end = np.clip(point, label[0, :2], label[0, 2:])
    steps = max(int(np.hypot(*(end - point)) / 3), 1)
    places = point + (end - point) * (np.arange(2, steps) / steps)[:, None]
    return np.concatenate([places - 1, places + 1], axis=1)


def _shared(first: Floats, second: Floats) -> float:
    """The summed areas that boxes (n, 4) share with boxes (m, 4), in square points."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return float(np.maximum(high - low, 0.0).prod(axis=2).sum())
