"""Labels beside the points of a scatter plot that overlap neither each other nor a point."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

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
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    dot = figure.dpi / 72
    frame = axes.get_window_extent(canvas.get_renderer())
    taken = [_on_paper(axes, (x, y, x, y), 4 * dot) for x, y, _ in points]
    taken += [_on_paper(axes, box, dot) for box in obstacles]
    notes = []
    for x, y, text in points:
        size = _size(canvas, figure, text)
        shift, box = _free_place(axes.transData.transform((x, y)), size, taken, frame, dot)
        taken.append(box)
        note = axes.annotate(
            text,
            (x, y),
            xytext=(float(shift[0]), float(shift[1])),
            textcoords="offset points",
            ha="center",
            va="center",
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.5, "shrinkB": 3},
        )
        note.set_in_layout(False)
        notes.append(note)
    return notes


def _free_place(
    point: np.ndarray, size: np.ndarray, taken: Sequence[Bbox], frame: Bbox, dot: float
) -> tuple[np.ndarray, Bbox]:
    """The least covered place for a text of `size` near `point`: its shift in points, its box."""
    best = None
    for distance, angle in itertools.product(_DISTANCES, _ANGLES):
        way = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
        shift = way * distance * dot + np.sign(way.round(6)) * size / 2
        box = Bbox.from_bounds(*(point + shift - size / 2), *size)
        outside = box.width * box.height - _shared(box, frame)
        cost = sum(_shared(box, other) for other in taken) + 10 * outside
        if best is None or cost < best[0] - 1e-6:
            best = (cost, shift / dot, box)
        if cost < 1e-6:
            break
    assert best is not None
    return best[1], best[2]


def _size(canvas: FigureCanvasAgg, figure: Figure, text: str) -> np.ndarray:
    written = figure.text(0, 0, text)
    box = written.get_window_extent(canvas.get_renderer())
    written.remove()
    return np.array([box.width, box.height])


def _on_paper(axes: Axes, box: Box, margin: float) -> Bbox:
    """A box in data coordinates as a box in pixels, `margin` wider on every side."""
    corners = axes.transData.transform(np.reshape(box, (2, 2)))
    return Bbox([corners.min(axis=0) - margin, corners.max(axis=0) + margin])


def _shared(first: Bbox, second: Bbox) -> float:
    """The area that two boxes share, in square pixels."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    return max(width, 0.0) * max(height, 0.0)
