"""models: what each model is and how it is drawn."""

import pandas as pd

from distilleak.tables.base import Layout

COLUMNS = ["pair", "model", "kind", "method", "label", "size", "order"]


def build(layout: Layout) -> pd.DataFrame:
    """The table; `size` counts the students of an ensemble, `order` is that of drawing."""
    rows = [
        (name, model.model, model.kind, model.method, model.label, max(1, len(model.members)), row)
        for name, pair in layout.pairs.items()
        for row, model in enumerate(pair.models)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
