"""How exposed canaries are, against how often the teacher and its students saw them."""

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from distilleak.figures import _style
from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import Tables, models_of, pick, uncrowded

TITLE = "Exposure of canaries"
CAPTION = (
    "Canaries are invented records with a secret each, inserted into the training data a known "
    "number of times. Exposure says how far up a model ranks the true secret among the candidates: "
    "0 bits for the last, the dashed line for the first. Dotted: the mean for a secret that was "
    "never seen, 1.44 bits. Where there are many students, only the first of each method is shown. "
    "Bars: 95 % intervals over canaries and, where there are several, seeds. Numbers: "
    "exposure.csv."
)
TABLES = ("models", "exposure")
UNSEEN = 1.4427


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw one line for each model that has likelihoods."""
    models = models_of(tables, pair)
    looks = _style.looks(models)
    rows = pick(tables["exposure"], pair=pair)
    if rows.empty:
        return _style.sentence(style, f"No exposure was measured for the pair {pair}.")
    models = uncrowded(models)
    groups = [("teacher and students", ("teacher", "student")), ("mixtures", ("mixture",))]
    kinds_of = _style.released_kinds(models)
    shown = [
        (name, list(models.index[kinds_of.isin(kinds)]))
        for name, kinds in groups
        if set(models.index[kinds_of.isin(kinds)]) & set(rows["model"])
    ]
    figure, grid = _style.panels(style, 3.6, 1, len(shown), sharey=True)
    numbers = sorted({int(number) for number in rows["repetitions"]})
    place = {number: i for i, number in enumerate(numbers)}
    for axes, (name, members) in zip(grid[0], shown, strict=True):
        for i, model in enumerate(members):
            line = pick(rows, model=model).sort_values("repetitions")
            look = looks[model]
            # Side by side, or intervals would cover each other.
            shift = (i - (len(members) - 1) / 2) * 0.06
            axes.errorbar(
                [place[int(number)] + shift for number in line["repetitions"]],
                line["exposure"],
                yerr=_style.whiskers(line.rename(columns={"exposure": "value"})),
                color=look.colour,
                marker=look.marker,
                markerfacecolor=look.face,
                linestyle=look.dash,
                markersize=4,
                capsize=2,
                linewidth=1,
                elinewidth=0.7,
                label=models.loc[model, "label"],
            )
        axes.axhline(float(rows["most"].iloc[0]), color=_style.GREY, linestyle="--", linewidth=1)
        axes.axhline(UNSEEN, color=_style.GREY, linestyle=":", linewidth=1)
        axes.set_xticks(range(len(numbers)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _number(x, numbers)))
        axes.set_xlabel("insertions of the canary (number)")
        axes.set_title(name)
        axes.grid(axis="y")
        axes.legend(loc="upper left", fontsize="small", ncols=2)
    grid[0][0].set_ylabel("exposure (bits)")
    grid[0][0].set_ylim(0, float(rows["most"].iloc[0]) * 1.5)
    _style.title(figure, style, f"{TITLE} ({pair})")
    return figure


def _number(place: float, numbers: list[int]) -> str:
    i = round(place)
    return str(numbers[i]) if 0 <= i < len(numbers) else ""
