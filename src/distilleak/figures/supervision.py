"""What the teacher teaches: the true token, or something else, on vulnerable and other members."""

from matplotlib.figure import Figure

from distilleak.figures import _style
from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import Tables, models_of, pick

TITLE = "The teacher's supervision of vulnerable and of other members"
CAPTION = (
    "Left: share of the tokens of a group of members at which the teacher's most likely token is "
    "the true one (agreement). Right: the mean probability of that most likely token (confidence). "
    "Vulnerable members are those that the attack on the teacher identifies: with the loss attack, "
    "those with a low loss, so part of the difference follows from the selection. Where agreement "
    "is high the teacher passes the members' own text on to the student. Bars: 95 % bootstrap "
    "intervals, pooled over seeds. Numbers: supervision.csv."
)
TABLES = ("models", "supervision")

_GROUPS = (("vulnerable", _style.VERMILION, "////"), ("other", _style.SKY, ""))
_PANELS = (
    ("agreement", "agreement (share of tokens)"),
    ("confidence", "confidence (mean top-1 probability)"),
)


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw two panels, agreement and confidence, with one bar for each group of members."""
    models_of(tables, pair)
    rows = pick(tables["supervision"], pair=pair)
    if rows.empty:
        return _style.sentence(style, f"No supervision was measured for the pair {pair}.")
    figure, grid = _style.panels(style, 3.2, 1, 2, sharey=True)
    for axes, (name, label) in zip(grid[0], _PANELS, strict=True):
        ticks: list[str] = []
        for group, colour, hatch in _GROUPS:
            for _, row in pick(rows, group=group).iterrows():
                place = len(ticks)
                whiskers = _style.whiskers(row.to_frame().T, name)
                axes.bar(
                    place, row[name], 0.6, color=colour, alpha=0.75, hatch=hatch, edgecolor="black"
                )
                axes.errorbar(place, row[name], yerr=whiskers, color="black", capsize=4)
                axes.annotate(
                    f"{row[name]:.3f}",
                    (place, row[f"{name}_high"]),
                    xytext=(0, 3),
                    textcoords="offset points",
                    ha="center",
                )
                ticks.append(f"{group}\n{row['records']:,.0f} members\n{row['tokens']:,.0f} tokens")
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.6, len(ticks) - 0.4)
        axes.set_ylim(0, 1.08)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.set_xlabel("group of members (records, tokens)")
        axes.set_ylabel(label)
        axes.grid(axis="y")
    _style.title(figure, style, f"{TITLE} ({pair})")
    return figure
