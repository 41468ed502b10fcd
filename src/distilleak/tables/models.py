"""models: what each model is and how it is drawn."""

import pandas as pd

from distilleak.tables.roster import Roster

COLUMNS = ["pair", "model", "kind", "method", "label", "size", "order", "sweep"]


def build(layout: Roster) -> pd.DataFrame:
    """The table; `size` counts the students of an ensemble, `order` is that of drawing, and
    models of one `sweep` differ in strength alone."""
    rows = [
        (
            *(name, model.model, model.kind, model.method, model.label),
            *(max(1, len(model.members)), row, model.sweep),
        )
        for name, pair in layout.pairs.items()
        for row, model in enumerate(pair.models)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
