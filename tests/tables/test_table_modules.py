"""What every table must be: one module, found by the one list, and described once for reading."""

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import figure_tables
import pytest
import tables_study

import distilleak
from distilleak import tables as package
from distilleak.errors import DistilleakError
from distilleak.metrics.factorial import CONTRASTS
from distilleak.report.page import NEEDED
from distilleak.study.closure import import_closure
from distilleak.tables import effects, printing
from distilleak.tables.names import TABLES, load
from distilleak.tables.printing import Findings, Printed
from distilleak.tables.reading import read_one, read_tables

BY_OTHER_STAGES = ("exposure", "costs")
SHARED = {"names", "roster", "results", "base", "printing", "wording", "reading"}
PACKAGE = Path(distilleak.__path__[0])
PRINTED = [name for name, readable in TABLES.items() if readable]


def findings(*pairs: str) -> Findings:
    tables = figure_tables.plausible(pairs[0], students=4, attacks=("loss", "zlib"), sizes=(2, 3))
    for pair in pairs[1:]:
        other = figure_tables.plausible(pair, students=4, attacks=("loss", "zlib"), sizes=())
        tables = figure_tables.together(tables, other)
    return Findings(tables, "loss", 0.02)


def test_a_module_is_a_table_or_what_tables_share() -> None:
    modules = {path.stem for path in PACKAGE.joinpath("tables").glob("*.py")} - {"__init__"}
    assert modules == SHARED | {*TABLES, *BY_OTHER_STAGES}


@pytest.mark.parametrize("name", [*TABLES, *BY_OTHER_STAGES])
def test_a_table_says_its_columns_and_how_it_is_built(name: str) -> None:
    table = load(name)
    assert set(table.COLUMNS.values()) <= {str, int, float, bool}
    assert callable(table.build)
    assert hasattr(table, "printed") == bool(TABLES.get(name, (name,)))


@pytest.mark.parametrize("name", PRINTED)
def test_the_list_names_the_readable_tables_that_a_module_prints(name: str) -> None:
    found = load(name).printed(findings("small"))
    assert tuple(printed.name for printed in found) == TABLES[name]


def cells_of(printed: Printed) -> list[list[str]]:
    return [[*printed.columns], *([*row] for row in printed.rows)]


def in_markdown(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def in_latex(text: str) -> list[list[str]]:
    for raw, set_ in (("$-$", "−"), ("$<$", "<"), (r"\_", "_"), (r"\%", "%"), (r"\\", "\n")):
        text = text.replace(raw, set_)
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0].replace(r"\midrule", "")
    rows = [line.replace(r"\&", "AND").split(" & ") for line in body.splitlines() if line.strip()]
    return [[cell.strip().replace("AND", "&") for cell in row] for row in rows]


def in_html(text: str) -> list[list[str]]:
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in text.split("<tr>")[1:]]
    return [[html.unescape(cell) for cell in row] for row in rows]


@pytest.mark.parametrize("pairs", [("small",), ("small", "large")], ids=["one pair", "two pairs"])
@pytest.mark.parametrize("name", [*PRINTED, *BY_OTHER_STAGES])
def test_markdown_latex_and_html_hold_the_same_cells(name: str, pairs: tuple[str, ...]) -> None:
    for printed in load(name).printed(findings(*pairs)):
        cells = cells_of(printed)
        assert len(cells) > 1
        assert len(set(printed.columns)) == len(printed.columns)
        assert {len(row) for row in cells} == {len(printed.columns)}
        assert in_markdown(printing.markdown(printed)) == cells
        assert in_latex(printing.latex(printed)) == cells
        assert in_html(printing.as_html(printed)) == cells
        for text in (printing.markdown(printed), html.unescape(printing.as_html(printed))):
            assert printed.title in text
            assert printed.note in text


def test_threat_models_are_those_of_the_study_whatever_its_pairs() -> None:
    small, large = (figure_tables.plausible(pair, students=2) for pair in ("small", "large"))
    both = Findings(figure_tables.together(small, large), "loss", 0.02)
    (printed,) = load("threats").printed(both)
    assert load("threats").printed(both.of_pair("small")) == [printed]
    assert [(row[0], row[-1]) for row in printed.rows] == [
        ("query", "loss, zlib, min_k, lowercase"),
        ("logits", "min_k_pp"),
        ("references", "reference, ez_mia"),
    ]
    assert both.said("ez_mia") == "ez_mia (references)"


def test_count_models_are_attacked_in_studies_without_these_attacks() -> None:
    """They are always attacked by `loss` and `reference`; this study has `zlib` alone."""
    tables = figure_tables.plausible(students=2, attacks=("zlib",), sizes=())
    counted = tables["frontier"]["role"] == "count model"
    assert counted.any()
    tables["frontier"]["attack"] = counted.map({True: "reference", False: "zlib"})
    (printed,) = load("frontier").printed(Findings(tables, "zlib", 0.02))
    attack = printed.columns.index("attack")
    assert {row[attack] for row in printed.rows} == {"zlib (query)", "reference"}


@pytest.mark.parametrize("name", sorted({*PRINTED} - {"threats"}))
def test_only_several_pairs_are_named(name: str) -> None:
    for printed in load(name).printed(findings("small")):
        assert "pair" not in printed.columns
    both = findings("small", "large")
    for printed in load(name).printed(both):
        assert printed.columns[0] == "pair"
        assert {row[0] for row in printed.rows} <= {"small", "large"}
        own = [row[1:] for row in printed.rows if row[0] == "small"]
        (alone,) = [
            table
            for table in load(name).printed(both.of_pair("small"))
            if table.name == printed.name
        ]
        shared = [i for i, column in enumerate(printed.columns[1:]) if column in alone.columns]
        assert [[row[i] for i in shared] for row in own] == [[*row] for row in alone.rows]


def test_text_is_escaped_in_latex_and_in_html() -> None:
    printed = Printed("toy", "A & B", "50 % of a_b", ("model", "p"), [("a & b_c", "< 0.001")])
    assert r"a \& b\_c & $<$ 0.001" in printing.latex(printed)
    assert r"A \& B. 50 \% of a\_b" in printing.latex(printed)
    assert "<td>&lt; 0.001</td>" in printing.as_html(printed)
    assert "<h3>A &amp; B</h3>" in printing.as_html(printed)


def test_the_effects_are_those_that_are_measured() -> None:
    assert list(effects.EFFECTS) == [*(f"auc_{name}" for name in CONTRASTS), "interaction"]


TOY = """
import pandas as pd

from distilleak.tables.printing import Printed

COLUMNS = {"pair": str, "model": str, "letters": int, "long": bool}


def build(study):
    rows = [(p, m.model, len(m.model), len(m.model) > 5) for p, m in study.roster.models()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed(findings):
    rows = [(row["pair"], (row["model"], str(row["letters"]))) for row in findings.rows("toy")]
    return [findings.print("toy", "Letters", "Of names.", ("model", "letters"), rows)]
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A table that stands in its own file and in the list, and nowhere else."""
    directory = tmp_path / "more_tables"
    directory.mkdir()
    (directory / "toy.py").write_text(TOY)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(directory)])
    monkeypatch.setitem(TABLES, "toy", ("toy",))
    yield load("toy")
    del sys.modules["distilleak.tables.toy"]


def test_a_new_table_is_one_file_and_one_entry_of_the_list(toy: ModuleType, tmp_path: Path) -> None:
    study = tables_study.write_study(tmp_path / "results")
    output = tables_study.build(study, tmp_path / "tables")
    table = read_one(output / "toy.csv", "toy")
    assert table["letters"].tolist() == [7, 2, 10, 8, 11]
    assert table["long"].tolist() == [True, False, True, True, True]
    assert in_markdown((output / "toy.md").read_text())[1] == ["teacher", "7"]
    assert (output / "toy.tex").is_file()
    program = """
import sys
from distilleak import tables
from distilleak.tables import names
tables.__path__.append(sys.argv[1])
names.TABLES["toy"] = ("toy",)
from distilleak.report import page
from distilleak.tables.printing import Findings
from distilleak.tables.reading import read_tables
found = page.printed(Findings(read_tables(sys.argv[2], page.NEEDED), "loss", 0.02), page.OF_PAIR)
print([printed.title for printed in found][-1])
"""
    command = [sys.executable, "-c", program, str(tmp_path / "more_tables"), str(output)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "Letters\n"


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(PACKAGE.parent)}


def test_a_column_of_another_type_is_an_error(tmp_path: Path) -> None:
    tables = figure_tables.plausible(students=2, sizes=(), seeds=1)
    tables["frontier"]["front"] = "maybe"
    tables["roc"]["tpr"] = "high"
    directory = figure_tables.write(tables, tmp_path)
    with pytest.raises(DistilleakError, match=r"frontier\.csv: column 'front' holds other words"):
        read_tables(directory, ["frontier"])
    with pytest.raises(DistilleakError, match=r"roc\.csv: column 'tpr' .* not a number"):
        read_tables(directory, ["roc"])


def test_reading_the_tables_of_most_figures_imports_no_scipy(tmp_path: Path) -> None:
    directory = figure_tables.write(figure_tables.plausible(students=1, sizes=()), tmp_path)
    program = """
import json, sys
from distilleak.tables.reading import read_tables
read_tables(sys.argv[1], json.loads(sys.argv[2]))
assert not {"scipy", "torch", "sklearn"} & sys.modules.keys(), "heavy"
"""
    light = [
        "models",
        "metrics",
        "success",
        "supervision",
        "effects",
        "epsilon",
        "roc",
        "histograms",
        "blind",
        "split",
        "exposure",
        "costs",
    ]
    command = [sys.executable, "-c", program, str(directory), json.dumps(light)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_tables_import_lies_in_the_code_of_the_rules() -> None:
    """The rules list all files of `tables` and `metrics` besides what the stage imports."""
    known = {*import_closure(PACKAGE, "stages.build_tables")}
    known |= {*PACKAGE.joinpath("tables").glob("*.py"), *PACKAGE.joinpath("metrics").glob("*.py")}
    for name in TABLES:
        assert set(import_closure(PACKAGE, f"tables.{name}")) <= known, name


def test_the_page_needs_what_is_readable() -> None:
    assert set(NEEDED) == {"models", "floors", *PRINTED}
