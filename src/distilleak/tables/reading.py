"""Reading tables, for figures and the report: checked by their columns; and how rows are picked."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from distilleak.catalogue import suggestion
from distilleak.errors import DistilleakError
from distilleak.settings.figures import FigureSettings
from distilleak.tables.base import Columns
from distilleak.tables.names import load

POOLED = "all"
DECISIONS = ("cross_fitted", "majority")
AT_EQUAL_UTILITY = {"auc": 0.5, "tpr_at_fpr_0.01": 0.01, "member_accuracy": 0.5}
"""Metrics of the table `frontier`, the first one first, each with its value by chance."""
UTILITIES = {
    "heldout_loss": "heldout_loss",
    "calibrated_loss": "calibrated_loss",
    "top1_error": "top1_accuracy",
}
"""Costs by which the table `frontier` compares models of equal utility, the first one first, each
with the metric that it is made of."""
_CROWD = 15
"""More students than this cannot be distinguished in one panel."""
_MISSING = ["", "nan", "NaN"]
"""How a CSV file writes that there is no number."""

Tables = Mapping[str, pd.DataFrame]


def read_tables(directory: str | Path, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Read `<directory>/<name>.csv` for each name.

    Raises:
        DistilleakError: a file is missing or damaged, or lacks a column.
    """
    return {name: read_one(Path(directory) / f"{name}.csv", name) for name in names}


def read_one(path: Path, name: str) -> pd.DataFrame:
    """Read the file at `path` as the table `name`; empty text stays text, an empty number is NaN.

    Raises:
        DistilleakError: the file is missing or damaged, or lacks a column.
    """
    columns: Columns = load(name).COLUMNS
    text = {column: "str" for column, kind in columns.items() if kind is str}
    missing = {column: _MISSING for column in columns if column not in text}
    try:
        table = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=missing)
    except FileNotFoundError as error:
        raise DistilleakError(f"{path}: no such file") from error
    except ValueError as error:
        raise DistilleakError(f"{path}: damaged table ({str(error).strip()})") from error
    for column, kind in columns.items():
        if column not in table.columns:
            raise DistilleakError(f"{path}: no column {column!r}; needed: {', '.join(columns)}")
        if kind is str or not len(table):
            continue
        if kind is bool and not pd.api.types.is_bool_dtype(table[column]):
            raise DistilleakError(
                f"{path}: column {column!r} holds other words than True and False"
            )
        if not pd.api.types.is_numeric_dtype(table[column]):
            raise DistilleakError(f"{path}: column {column!r} holds something that is not a number")
    return table


def pick(table: pd.DataFrame, **wanted: object) -> pd.DataFrame:
    """The rows whose columns equal the values wanted (or are among them, for a tuple)."""
    for column, value in wanted.items():
        allowed = value if isinstance(value, tuple) else (value,)
        table = table[table[column].isin(allowed)]
    return table


def pairs_of(tables: Tables) -> list[str]:
    """The pairs of the study, in its order."""
    return list(dict.fromkeys(map(str, tables["models"]["pair"])))


def models_of(tables: Tables, pair: str) -> pd.DataFrame:
    """The models of `pair`, indexed by name, in drawing order.

    Raises:
        DistilleakError: there is no such pair.
    """
    known = sorted(set(tables["models"]["pair"]))
    if pair not in known:
        raise DistilleakError(f"unknown pair {pair!r}{suggestion(pair, known)}")
    return pick(tables["models"], pair=pair).sort_values("order", kind="stable").set_index("model")


def headline(tables: Tables, pair: str, style: FigureSettings, table: str = "metrics") -> str:
    """The headline attack, checked against the attacks that `table` has of `pair`.

    Raises:
        DistilleakError: the table has other attacks, and not this one.
    """
    known = sorted(set(pick(tables[table], pair=pair)["attack"]) - {""})
    attack = style.headline_attack
    if known and attack not in known:
        raise DistilleakError(
            f"headline_attack: unknown attack {attack!r}{suggestion(attack, known)}"
        )
    return attack


def uncrowded(models: pd.DataFrame) -> pd.DataFrame:
    """`models` (from `models_of`), and of more than 15 students the first of each method; of an
    undone model no more than of the one that is released."""
    students = models["kind"] == "student"
    if students.sum() <= _CROWD:
        return models
    kept = models[~students | ~models["method"].where(students).duplicated()]
    return kept[(kept["of"] == "") | kept["of"].isin(kept.index)]


def per_model(tables: Tables, pair: str, **wanted: object) -> pd.DataFrame:
    """The pooled rows wanted of the table of metrics, indexed by model, in drawing order."""
    models = models_of(tables, pair)
    rows = pick(tables["metrics"], seed=POOLED, pair=pair, **wanted).set_index("model")
    return rows.loc[[model for model in models.index if model in rows.index]]


def pool_size(split: pd.DataFrame, pair: str, pool: str) -> str:
    """How many records a pair's `pool` has: "1,000 non-members in each of 3 seeds"."""
    name = {"member": "members", "nonmember": "non-members"}.get(pool, f"records of {pool}")
    sizes = [int(size) for size in pick(split, pair=pair, pool=pool)["records"]]
    if not sizes:
        return f"an unknown number of {name}"
    span = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
    return f"{span} {name}" + (f" in each of {len(sizes)} seeds" if len(sizes) > 1 else "")
