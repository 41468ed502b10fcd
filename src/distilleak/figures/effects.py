"""What leaks through the teacher, and what through a student's own data."""

from matplotlib.figure import Figure

from distilleak.figures import _style
from distilleak.settings.figures import FigureSettings
from distilleak.tables.reading import Tables, models_of, pick

TITLE = "Effects of the teacher's and of the student's training"
CAPTION = (
    "In a factorial split each record was trained on by neither model, by the teacher only, by the "
    "student only, or by both. Left: AUC of the headline attack between records that one model "
    "trained on and records of neither, 0.5 (dotted) means no effect; that of the teacher alone is "
    "what a student leaks about records that it never saw. Right: the interaction, 0 where the two "
    "effects add up. Bars: 95 % intervals over records, over several seeds by Student's t. "
    "Numbers: effects.csv."
)
TABLES = ("models", "effects")

_LOOKS = (
    ("auc_teacher", "teacher only", _style.VERMILION, "o", True),
    ("auc_student", "student only", _style.BLUE, "s", False),
    ("auc_both", "both", _style.BLACK, "^", True),
)


def draw(tables: Tables, pair: str, style: FigureSettings) -> Figure:
    """Draw a row for each model: three AUCs on the left, the interaction on the right."""
    models = models_of(tables, pair)
    rows = pick(tables["effects"], pair=pair, attack=style.headline_attack)
    if rows.empty:
        return _style.sentence(
            style, f"The split of {pair} is paired: it cannot separate the two effects."
        )
    shown = [model for model in models.index if model in set(rows["model"])]
    height = 1.2 + 0.32 * len(shown)
    figure, grid = _style.panels(style, height, 1, 2, sharey=True)
    left, right = grid[0]
    for place, model in enumerate(shown):
        of_model = rows[rows["model"] == model]
        for i, (effect, label, colour, marker, filled) in enumerate(_LOOKS):
            row = pick(of_model, effect=effect)
            left.errorbar(
                row["value"],
                [place + (i - 1) * 0.22],
                xerr=_style.whiskers(row),
                color=colour,
                marker=marker,
                markerfacecolor=colour if filled else "white",
                markersize=4,
                capsize=2,
                linestyle="none",
                label=label if place == 0 else None,
            )
        row = pick(of_model, effect="interaction")
        right.errorbar(
            row["value"],
            [place],
            xerr=_style.whiskers(row),
            color=_style.BLACK,
            marker="D",
            markersize=4,
            capsize=2,
            linestyle="none",
        )
    left.set_yticks(range(len(shown)), [str(models.loc[model, "label"]) for model in shown])
    left.set_ylim(len(shown) - 0.4, -0.6)
    left.axvline(0.5, color="black", linestyle=":", linewidth=1)
    right.axvline(0.0, color="black", linestyle=":", linewidth=1)
    left.set_xlabel("AUC against records of neither (0.5 = no effect)")
    right.set_xlabel("interaction (difference in AUC)")
    left.set_ylabel("model attacked")
    for axes in (left, right):
        axes.grid(axis="x")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    _style.title(figure, style, f"{TITLE} ({pair}, attack {style.headline_attack})")
    return figure
