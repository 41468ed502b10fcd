"""floors: count models, below which a language model is of no use; pooled over seeds."""

import pandas as pd

from distilleak.floors.floor import FLOORS
from distilleak.tables.base import Columns
from distilleak.tables.results import StudyResults

COLUMNS: Columns = {
    "pair": str,
    "floor": str,
    "order": int,
    "members": bool,
    "attack": str,
    "metric": str,
    "threshold": str,
    "value": float,
    "low": float,
    "high": float,
}


def build(study: StudyResults) -> pd.DataFrame:
    """The table; `order` counts the tokens of the longest n-grams, `members` says whether the model
    counts the members besides public text. Masked models have no floor: they predict a token from
    both sides of it."""
    rows = [
        (
            pair,
            name,
            FLOORS[name].order,
            FLOORS[name].members,
            *key,
            estimate.value,
            estimate.low,
            estimate.high,
        )
        for (pair, name), metrics in study.floors.items()
        for key, estimate in metrics.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
