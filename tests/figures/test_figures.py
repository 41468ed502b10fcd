"""What every figure must do, on made-up tables."""

import itertools
import re
import subprocess
import sys
import warnings
from pathlib import Path

import figure_tables
import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from PIL import Image

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.figures import _style, auc_heatmap, ensembles, privacy_utility
from distilleak.settings.figures import FigureSettings
from distilleak.stages.draw_figure import main, render
from distilleak.tables.reading import pool_size, read_tables, uncrowded

NAMES = catalogue.names("figures")


def few() -> dict[str, pd.DataFrame]:
    return figure_tables.plausible(students=3, attacks=("loss", "zlib"), sizes=(2, 3))


def drawn(name: str, tables: dict[str, pd.DataFrame], attack: str = "loss") -> Figure:
    style = FigureSettings(headline_attack=attack)
    figure = catalogue.load("figures", name).draw(tables, "small", style)
    assert isinstance(figure, Figure)
    return figure


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_the_catalogue_lists_the_figures_and_not_their_helpers() -> None:
    assert NAMES == [
        "accuracy",
        "auc_heatmap",
        "effects",
        "ensembles",
        "exposure",
        "frontier",
        "privacy_utility",
        "roc",
        "score_histograms",
        "success",
        "supervision",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_draws_without_warnings_from_the_tables_it_names_and_no_others(
    name: str, tmp_path: Path
) -> None:
    directory = figure_tables.write(few(), tmp_path / "tables")
    tables = read_tables(directory, catalogue.load("figures", name).TABLES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render(name, tables, "small", FigureSettings(), {"png": tmp_path / "figure.png"})
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == 1050
        assert len(image.convert("L").getcolors() or []) > 2


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_has_labels_with_units_on_its_axes_a_title_and_a_caption(name: str) -> None:
    figure = drawn(name, few())
    labels = [figure.get_supxlabel(), figure.get_supylabel()]
    for axes in figure.axes:
        labels += [axes.get_xlabel(), axes.get_ylabel()]
    assert any(figure.get_supxlabel() or axes.get_xlabel() for axes in figure.axes)
    assert any(figure.get_supylabel() or axes.get_ylabel() for axes in figure.axes)
    assert any(re.search(r"\(.+\)", label) for label in labels)
    module = catalogue.load("figures", name)
    assert module.TITLE in figure.get_suptitle().replace("\n", " ")
    assert "small" in figure.get_suptitle()
    assert "interval" in module.CAPTION
    assert all(
        f"{table}.csv" in module.CAPTION for table in module.TABLES[1:] if table != "metrics"
    )


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "png") for name in NAMES), ("success", "pdf"), ("roc", "pdf")]
)
def test_a_figure_drawn_twice_has_the_same_bytes(name: str, kind: str, tmp_path: Path) -> None:
    tables = figure_tables.plausible(students=2, attacks=("loss",), sizes=(2,), seeds=1)
    files = [tmp_path / f"{number}.{kind}" for number in range(2)]
    for file in files:
        render(name, tables, "small", FigureSettings(dpi=60), {kind: file})
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b"CreationDate" not in files[0].read_bytes()


def test_bytes_do_not_depend_on_the_parameters_of_the_session(tmp_path: Path) -> None:
    tables = few()
    render("accuracy", tables, "small", FigureSettings(dpi=60), {"png": tmp_path / "plain.png"})
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        render("accuracy", tables, "small", FigureSettings(dpi=60), {"png": tmp_path / "rc.png"})
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "rc.png").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_study_without_ensembles_and_with_one_seed_is_drawn(name: str) -> None:
    tables = figure_tables.plausible(students=2, attacks=("loss",), sizes=(), seeds=1)
    assert drawn(name, tables).axes


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_without_rows_says_so_in_a_sentence(name: str) -> None:
    tables = few()
    empty = {table: rows if table == "models" else rows.iloc[:0] for table, rows in tables.items()}
    figure = drawn(name, empty)
    sentences = [text.get_text() for text in figure.texts]
    assert len(sentences) == 1
    assert re.fullmatch(r"(No|The) .+ small.*\.", sentences[0])


def test_an_unknown_headline_attack_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(DistilleakError, match="unknown attack 'los'; did you mean 'loss'"):
        drawn("roc", few(), "los")


def test_an_unknown_pair_is_an_error_that_names_those_there_are() -> None:
    tables = few()
    with pytest.raises(DistilleakError, match="unknown pair 'smal'; did you mean 'small'"):
        auc_heatmap.draw(tables, "smal", FigureSettings())


def test_the_heat_map_writes_each_auc_and_is_centred_at_chance() -> None:
    tables = few()
    metrics = tables["metrics"]
    below = (
        (metrics["model"] == "kd") & (metrics["attack"] == "zlib") & (metrics["metric"] == "auc")
    )
    metrics.loc[below, ["value", "low", "high"]] = (0.437, 0.40, 0.51)
    axes = drawn("auc_heatmap", tables).axes[0]
    image = axes.images[0]
    assert sum(image.get_clim()) == pytest.approx(1.0)
    pooled = metrics[(metrics["seed"] == "all") & (metrics["metric"] == "auc")]
    written = sorted(text.get_text() for text in axes.texts)
    assert written == sorted(f"{value:.2f}" for value in pooled["value"])
    weights = {text.get_text(): text.get_fontweight() for text in axes.texts}
    assert weights["0.44"] == "normal"
    assert weights["0.91"] == "bold"


def test_the_accuracy_figure_draws_the_numbers_of_the_table() -> None:
    tables = few()
    left = drawn("accuracy", tables).axes[0]
    rows = tables["metrics"].query(
        "seed == 'all' and attack == 'loss' and metric == 'member_accuracy'"
        " and threshold != 'oracle'"
    )
    drawing = left.containers[0]
    assert isinstance(drawing, ErrorbarContainer)
    members = np.asarray(drawing.lines[0].get_xdata(orig=False))
    np.testing.assert_allclose(np.sort(members), np.sort(rows["value"]))


def test_labels_beside_points_overlap_neither_each_other_nor_a_point() -> None:
    figure = drawn("privacy_utility", figure_tables.plausible())
    figure.draw_without_rendering()
    axes = figure.axes[0]
    notes = [text for text in axes.texts if isinstance(text, Annotation)]
    assert len(notes) == 13
    boxes = [super(Annotation, note).get_window_extent() for note in notes]
    points = [axes.transData.transform(note.xy) for note in notes]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert not any(box.contains(*point) for box in boxes for point in points)
    frame = axes.get_window_extent()
    assert all(frame.contains(*corner) for box in boxes for corner in box.corners())


def test_ensembles_by_vote_have_no_loss_and_are_not_in_the_figure_of_utility() -> None:
    shown = words(privacy_utility.draw(few(), "small", FigureSettings()))
    assert "mixture of 2" in shown
    assert "vote of 2" not in shown


def test_the_spread_between_seeds_is_drawn_only_where_there_are_several() -> None:
    style = FigureSettings()
    one, three = (
        ensembles.draw(figure_tables.plausible(students=2, sizes=(2,), seeds=seeds), "small", style)
        for seeds in (1, 3)
    )
    assert "deviation" not in words(one)
    assert "between 3 seeds" in words(three)


def test_the_models_of_a_figure_differ_by_more_than_colour() -> None:
    models = figure_tables.plausible()["models"].set_index("model")
    looks = _style.looks(models)
    seen = {(look.marker, look.face == "white", str(look.dash)) for look in looks.values()}
    assert len(seen) == len(looks) == 17


CROWD = figure_tables.STUDENTS | {
    f"{method}-{step}": (auc - 0.01 * step, loss + 0.02 * step)
    for method, (auc, loss) in list(figure_tables.STUDENTS.items())[:7]
    for step in range(1, 6)
}


@pytest.mark.parametrize("students", [figure_tables.STUDENTS, CROWD], ids=["few", "many"])
def test_no_figure_leaves_text_outside_the_page(
    students: dict[str, tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure_tables, "STUDENTS", students)
    tables = figure_tables.plausible(students=len(students))
    for name in NAMES:
        with matplotlib.style.context(["default", _style.parameters(FigureSettings())]):
            figure = drawn(name, tables)
            figure.draw_without_rendering()
            page = figure.bbox.padded(1)
            axes_texts = [
                text
                for axes in figure.axes
                if isinstance(axes, Axes) and axes.axison
                for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)
            ]
            for text in [*figure.texts, *axes_texts]:
                if text.get_text() and not isinstance(text, Annotation):
                    box = text.get_window_extent()
                    assert page.containsx(box.x0), (name, text)
                    assert page.containsx(box.x1), (name, text)
                    assert page.containsy(box.y0), (name, text)
                    assert page.containsy(box.y1), (name, text)
            for legend in [axes.get_legend() for axes in figure.axes]:
                if legend is not None:
                    assert figure.bbox.padded(4).containsy(legend.get_window_extent().y0), name


def test_of_a_crowd_of_students_roc_curves_show_one_of_each_method(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(figure_tables, "STUDENTS", CROWD)
    figure = drawn("roc", figure_tables.plausible(students=len(CROWD)))
    _, labels = figure.axes[0].get_legend_handles_labels()
    methods = list(dict.fromkeys(name.split("-")[0] for name in CROWD))
    assert labels == ["teacher", *methods]


def test_pool_sizes_are_said_with_their_seeds() -> None:
    rows = [(seed, "small", "nonmember", 1000) for seed in ("0", "1")]
    split = pd.DataFrame(rows, columns=["seed", "pair", "pool", "records"])
    assert pool_size(split, "small", "nonmember") == "1,000 non-members in each of 2 seeds"
    assert pool_size(split.iloc[:1], "small", "nonmember") == "1,000 non-members"


def two_pairs() -> dict[str, pd.DataFrame]:
    """A study whose pairs have records and blind classifiers of their own."""
    other = figure_tables.plausible("large", students=2, attacks=("loss", "zlib"), sizes=())
    other["blind"][["auc", "low", "high"]] = (0.97, 0.96, 0.98)
    other["split"]["records"] = 77
    return figure_tables.together(few(), other)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_of_one_pair_does_not_change_when_another_joins_the_study(name: str) -> None:
    alone, beside = drawn(name, few()), drawn(name, two_pairs())
    assert words(alone) == words(beside)
    positions = [
        [line.get_xydata().tolist() for line in figure.findobj(matplotlib.lines.Line2D)]
        for figure in (alone, beside)
    ]
    assert positions[0] == positions[1]


def test_the_heat_map_marks_the_best_blind_classifier_however_weak_the_attacks_are() -> None:
    tables = two_pairs()
    heatmap = auc_heatmap.draw(tables, "large", FigureSettings())
    bar = heatmap.axes[1]
    marks = [line.get_ydata()[0] for line in bar.lines]
    assert marks == [0.97]
    assert bar.get_ylim()[0] <= 0.97 <= bar.get_ylim()[1]


def test_an_empty_text_stays_text_and_an_empty_number_is_nan(tmp_path: Path) -> None:
    tables = figure_tables.plausible(students=2, sizes=(2,), seeds=1)
    tables["models"].loc[1, "label"] = "NA"
    read = read_tables(figure_tables.write(tables, tmp_path), ["models", "metrics", "ensembles"])
    assert read["models"]["label"].tolist()[1] == "NA"
    assert set(read["metrics"]["seed"]) == {"0", "all"}
    assert "" in set(read["metrics"]["threshold"])
    assert read["ensembles"]["seed_sd"].isna().all()


def test_a_table_without_a_column_is_an_error_that_names_file_and_column(tmp_path: Path) -> None:
    tables = few()
    tables["roc"] = tables["roc"].drop(columns="tpr")
    directory = figure_tables.write(tables, tmp_path)
    with pytest.raises(DistilleakError, match=r"roc\.csv: no column 'tpr'"):
        read_tables(directory, ["roc"])
    with pytest.raises(DistilleakError, match=r"absent.*models\.csv: no such file"):
        read_tables(tmp_path / "absent", ["models"])


def test_the_stage_writes_both_files(tmp_path: Path) -> None:
    directory = figure_tables.write(few(), tmp_path / "tables")
    files = ["--png", f"{tmp_path}/out/a.png", "--pdf", f"{tmp_path}/out/a.pdf"]
    command = ["--figure", "supervision", "--pair", "small", "--tables", str(directory)]
    main([*command, "--style", '{"dpi":60}', *files])
    assert (tmp_path / "out/a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out/a.pdf").read_bytes().startswith(b"%PDF")


def test_the_stage_answers_an_unknown_figure_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "distilleak", "draw_figure", "--figure", "rock"]
    command += ["--pair", "small", "--tables", str(tmp_path), "--style", "{}"]
    command += ["--png", f"{tmp_path}/a.png", "--pdf", f"{tmp_path}/a.pdf"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: unknown figure 'rock'; did you mean 'roc'?")
    assert len(done.stderr.splitlines()) == 1


UNDONE = {
    "accuracy": True,
    "auc_heatmap": True,
    "effects": True,
    "exposure": True,
    "privacy_utility": True,
    "roc": True,
    "score_histograms": True,
    "success": True,
    # One row counts the worse of both leakages; the others show no single student, or none.
    "frontier": False,
    "ensembles": False,
    "supervision": False,
}
"""Whether a figure draws what an attacker makes of a student who takes a part out of it."""


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_that_shows_a_student_shows_it_undone(name: str) -> None:
    tables = figure_tables.plausible(students=6, sizes=(2, 3), undone=("red_list",))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = drawn(name, tables)
        figure.draw_without_rendering()
    said = re.sub(r"\s+", " ", words(figure))
    assert ("red_list without map" in said) == UNDONE[name]
    assert ("red list" in said.replace("_", " ")) == UNDONE[name] | (name == "frontier")


def test_an_undone_model_looks_like_the_one_that_is_released() -> None:
    models = figure_tables.plausible(students=6, sizes=(), undone=("red_list",))["models"]
    looks = _style.looks(models.set_index("model"))
    released, undone = looks["red_list"], looks["red_list-undone"]
    assert (undone.colour, undone.marker) == (released.colour, released.marker)
    assert undone.face != released.face
    assert looks.keys() == set(models["model"])


def test_of_many_students_undone_ones_are_shown_with_the_released_ones_alone() -> None:
    models = figure_tables.plausible(students=8, sizes=(), undone=("red_list", "temperature"))
    rows = models["models"].set_index("model")
    copies = rows.rename(index=lambda name: f"{name}_2").assign(
        of=rows["of"].where(rows["of"] == "", rows["of"] + "_2")
    )
    many = pd.concat([rows, copies])
    shown = uncrowded(many)
    assert "red_list-undone" in shown.index
    assert not [name for name in shown.index if name.endswith("-undone_2")]
