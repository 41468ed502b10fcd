"""What a figure is: a pure function from tables to a drawing, in a module named after it.

A figure computes nothing: every number that it draws stands in a table. The module defines

* `TITLE`: what it shows, in a few words;
* `CAPTION`: what is drawn, the units, what the intervals mean, where the numbers stand;
* `TABLES`: the tables that it reads, by name (the module of each in `tables` has its columns);
* `draw(tables, pair, style)`: the drawing, of one pair of teacher and student. Where a study has
  nothing to draw (no ensembles, say) the drawing is a sentence that says so.
"""

from typing import Protocol

from matplotlib.figure import Figure

from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import Tables


class Drawing(Protocol):
    """The interface of a figure module."""

    TITLE: str
    CAPTION: str
    TABLES: tuple[str, ...]

    def draw(self, tables: Tables, pair: str, style: FigureSettings) -> Figure: ...
