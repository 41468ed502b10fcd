"""Readable tables: described once as text, then rendered as Markdown, as LaTeX and as HTML."""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from distilleak.files import write_text
from distilleak.tables.reading import Tables, pairs_of, pick
from distilleak.tables.wording import Interval, p_text

NONE = "–"
INTERVALS = (
    "In brackets: 95 % intervals, by bootstrap over records; over several seeds by Student's t."
)


@dataclass(frozen=True)
class Printed:
    """A readable table; `name` is that of its files."""

    name: str
    title: str
    note: str
    columns: Sequence[str]  # no two alike
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Findings:
    """What readable tables are made of: all rows of a study, or those of one pair.

    Attributes:
        tables: `models`, `split`, `threats` and the tables that are printed.
        attack: The headline attack.
        margin: Smaller differences count as equivalence; of no use where none are printed.
    """

    tables: Tables
    attack: str
    margin: float = math.nan

    def of_pair(self, pair: str) -> "Findings":
        """The rows of one pair, and the tables that are of no pair."""
        own = {
            name: pick(table, pair=pair) if "pair" in table.columns else table
            for name, table in self.tables.items()
        }
        return replace(self, tables=own)

    def pairs(self) -> list[str]:
        """The pairs, in the order of the study."""
        return pairs_of(self.tables)

    def labels(self, *, undone: bool = True) -> dict[tuple[str, str], str]:
        """(pair, model) -> the name that people read, in drawing order; without `undone`, of models
        that are released alone."""
        models = self.tables["models"]
        if not undone:
            models = models[models["of"] == ""]
        rows = zip(models["pair"], models["model"], models["label"], strict=True)
        return {(str(pair), str(model)): str(label) for pair, model, label in rows}

    def remark(self) -> str:
        """What the rows of undone models are, as the beginning of a note; empty where there are
        none."""
        if not self.undone():
            return ""
        return (
            "Rows of a model without a part of it: attacks of whoever holds its weights and takes "
            "that part out first; its utility is that of the model that is released. "
        )

    def undone(self) -> dict[tuple[str, str], tuple[tuple[str, str], str]]:
        """(pair, model) that can be undone -> (pair, model) of the undone one, and how it is
        attacked."""
        rows = self.rows("models", kind="undone")
        return {
            (row["pair"], row["of"]): ((row["pair"], row["model"]), row["undoing"]) for row in rows
        }

    def said(self, attack: str) -> str:
        """An attack with the name of its threat model: "loss (query)"."""
        (threat,) = pick(self.tables["threats"], attack=attack)["threat"]
        return f"{attack} ({threat})"

    def on_one_model(self) -> set[str]:
        """The attacks that hold no other model beside the one that they attack."""
        return set(pick(self.tables["threats"], student_alone=True)["attack"])

    def rows(self, table: str, **wanted: object) -> list[dict[str, Any]]:
        """The rows of `table` whose columns equal the values wanted, as `reading.pick` has it."""
        found = pick(self.tables[table], **wanted)
        return [{str(name): cell for name, cell in row.items()} for row in found.to_dict("records")]

    def print(
        self,
        name: str,
        title: str,
        note: str,
        columns: Sequence[str],
        rows: Iterable[tuple[str, Sequence[str]]],
    ) -> Printed:
        """A readable table of (pair, cells).

        There is a column for the pair if there are several, and none for what no row has.
        """
        named = [(pair, *cells) for pair, cells in rows]
        kept = [
            place
            for place, cells in enumerate(zip(*named, strict=True))
            if set(cells) != {NONE} and (place or len(self.pairs()) > 1)
        ] or range(1, len(columns) + 1)
        names = ("pair", *columns)
        return Printed(
            name,
            title,
            note,
            [names[place] for place in kept],
            [[cells[place] for place in kept] for cells in named],
        )


def interval(row: dict[str, Any] | None, name: str = "value", form: str = ".3f") -> str:
    """The cell of an estimate: `name` with its interval, a dash where there is no number.

    The ends of the interval are the columns `<name>_low` and `<name>_high` if there are such, else
    `low` and `high`.
    """
    if row is None or pd.isna(row[name]):
        return NONE
    prefix = f"{name}_" if f"{name}_low" in row else ""
    return Interval(row[name], row[f"{prefix}low"], row[f"{prefix}high"]).text(form)


def difference(row: dict[str, Any] | None) -> str:
    """The cell of a difference: with signs and an interval."""
    return interval(row, "difference", "+.3f")


def number(value: float | None, digits: int = 0) -> str:
    """The cell of a number without an interval, a dash where there is none."""
    return NONE if value is None or pd.isna(value) else f"{value:,.{digits}f}"


def p_value(p: float) -> str:
    """The cell of a p-value."""
    return NONE if pd.isna(p) else p_text(p).removeprefix("p ").removeprefix("= ")


def csv(table: pd.DataFrame, digits: int = 7) -> str:
    """A table as CSV: counts exact, other numbers with `digits` significant digits."""

    def written(value: object) -> str:
        assert isinstance(value, float)
        return f"{value:.0f}" if value.is_integer() else f"{value:.{digits}g}"

    return table.to_csv(index=False, float_format=written, lineterminator="\n")


def markdown(printed: Printed) -> str:
    """The table as Markdown, with its title and note below."""
    text = _frame(printed).to_markdown(index=False, disable_numparse=True)
    return f"{text}\n\n{_caption(printed)}\n"


def latex(printed: Printed) -> str:
    """The table as LaTeX (package booktabs), labelled `tab:<name>`."""
    special = str.maketrans({character: f"\\{character}" for character in "%_&#"})
    text = _frame(printed).to_latex(
        index=False,
        escape=True,
        caption=_caption(printed).translate(special),
        label=f"tab:{printed.name}",
        position="htbp",
    )
    # Outside of formulas LaTeX sets these as other characters, or not at all.
    return str(text).replace("−", "$-$").replace("<", "$<$")


def as_html(printed: Printed) -> str:
    """The table as a section of an HTML page; a first column of text names the rows."""
    texts = [not any(map(_is_number, column)) for column in zip(*printed.rows, strict=True)]
    lines = [
        '<section class="table">',
        f"<h3>{html.escape(printed.title)}</h3>",
        f'<p class="note">{html.escape(printed.note)}</p>',
    ]
    if not printed.rows:
        return "\n".join([*lines, "<p>Nothing was recorded.</p>", "</section>"])
    head = "".join(
        f'<th scope="col"{_class(text)}>{html.escape(name)}</th>'
        for name, text in zip(printed.columns, texts, strict=True)
    )
    lines += ['<div class="scroll"><table>', f"<thead><tr>{head}</tr></thead>", "<tbody>"]
    for first, *others in printed.rows:
        cells = "".join(
            f"<td{_class(text)}>{html.escape(cell)}</td>"
            for cell, text in zip(others, texts[1:], strict=True)
        )
        lines.append(f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody>", "</table></div>", "</section>"])


def write(tables: Iterable[Printed], directory: Path) -> None:
    """Write each readable table as Markdown and as LaTeX; each file atomically."""
    for printed in tables:
        write_text(markdown(printed), directory / f"{printed.name}.md")
        write_text(latex(printed), directory / f"{printed.name}.tex")


def _frame(printed: Printed) -> pd.DataFrame:
    return pd.DataFrame(list(printed.rows), columns=list(printed.columns), dtype="str")


def _caption(printed: Printed) -> str:
    return f"{printed.title}. {printed.note}"


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in ("+", "−", "<")


def _class(text: bool) -> str:
    return ' class="text"' if text else ""
