"""models: what each model is and how it is drawn."""

import pandas as pd

from distilleak.tables.base import Columns
from distilleak.tables.results import StudyResults
from distilleak.tables.roster import Roster

COLUMNS: Columns = {
    "pair": str,
    "model": str,
    "kind": str,
    "method": str,
    "label": str,
    "size": int,
    "order": int,
    "sweep": str,
    "base": str,
    "of": str,
    "undoing": str,
}


def build(study: StudyResults) -> pd.DataFrame:
    """The table; `size` counts the students of an ensemble, `order` is that of drawing, models of
    one `sweep` differ in strength alone, and `base` is the public model that one starts from. A
    model of the kind `undone` is the one `of` that name as an attacker attacks it who holds its
    weights, and `undoing` says how."""
    return described(study.roster)


def described(roster: Roster) -> pd.DataFrame:
    """The same table, which depends on nothing else."""
    rows = [
        (
            name,
            model.model,
            model.kind,
            model.method,
            model.label,
            max(1, len(model.members)),
            place,
            model.sweep,
            pair.bases.get(model.kind, ""),
            model.of,
            model.undoing,
        )
        for name, pair in roster.pairs.items()
        for place, model in enumerate(pair.models)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
