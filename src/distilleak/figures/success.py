"""Where the attack is right on the teacher, on the student, on both, on neither."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distilleak.figures import _style
from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import Tables, headline, models_of, pick

TITLE = "On which of teacher and student the attack is right"
CAPTION = (
    "For each student, a 2x2 table of the members and one of the non-members: rows say whether "
    "the headline attack is right on the teacher, columns whether it is right on the student. A "
    "cell shows the share of the records of its pool, in per cent, and their number, summed over "
    "seeds; darker is more. No intervals: these are counts. Numbers: success.csv."
)
TABLES = ("models", "success")

_PLACE = {"both": (0, 0), "teacher_only": (0, 1), "student_only": (1, 0), "neither": (1, 1)}
_POOLS = (("member", "members"), ("nonmember", "non-members"))
_ACROSS = 4


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw two small tables per student, members above non-members, four students in a row."""
    models = models_of(tables, pair)
    attack = headline(tables, pair, style, "success")
    cells = pick(tables["success"], pair=pair, attack=attack)
    if cells.empty:
        return _style.sentence(
            style, f"The pair {pair} has no student to compare with its teacher."
        )
    students = [model for model in models.index if model in set(cells["model"])]
    bands = -(-len(students) // _ACROSS)

    figure, grid = _style.panels(style, 0.7 + 3.1 * bands, 2 * bands, _ACROSS)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, student in enumerate(students):
        band, column = divmod(number, _ACROSS)
        for half, (pool, title) in enumerate(_POOLS):
            axes = grid[2 * band + half, column]
            axes.set_axis_on()
            _table(axes, pick(cells, model=student, pool=pool))
            name = _style.folded(models.loc[student, "label"])
            axes.set_title(f"{name}\n{title}" if half == 0 else title, fontsize="medium")
            axes.set_xticks([0, 1], ["right", "wrong"])
            axes.set_yticks([0, 1], ["right", "wrong"] if column == 0 else ["", ""])
    figure.supxlabel(
        "attack on the student (cells: share and number of records)", fontsize=style.font_size
    )
    figure.supylabel("attack on the teacher", fontsize=style.font_size)
    _style.title(figure, style, f"{TITLE} ({pair}, attack {attack})")
    return figure


def _table(axes: Axes, cells: pd.DataFrame) -> None:
    shares = [[0.0, 0.0], [0.0, 0.0]]
    for outcome, share, records in zip(
        cells["outcome"], cells["share"], cells["records"], strict=True
    ):
        row, column = _PLACE[outcome]
        shares[row][column] = share
        axes.text(
            column,
            row,
            f"{100 * share:.0f} %\n{records:,.0f}",
            ha="center",
            va="center",
            color="white" if share > 0.5 else "black",
        )
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=0.9, aspect="auto")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
