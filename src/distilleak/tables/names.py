"""The list of the tables: what they are called, and which files there are of them."""

import importlib
from types import ModuleType

TABLES: dict[str, tuple[str, ...]] = {
    "models": (),
    "leak": ("leak",),
    "threats": ("threats",),
    "floors": (),
    "metrics": ("summary", "attacks", "utility", "surgery"),
    "comparisons": ("comparisons",),
    "frontier": ("frontier",),
    "ensembles": ("ensembles",),
    "success": ("success",),
    "supervision": ("supervision",),
    "effects": ("effects",),
    "epsilon": ("epsilon",),
    "luck": ("luck",),
    "split": ("split",),
    "blind": ("blind",),
    "roc": (),
    "histograms": (),
}
"""Each table of a study with the readable tables made of it, in the order in which the report shows
them. A table is the module of its name in this package: `COLUMNS` says the name and the type of
each column, `build(study)` makes the rows, and `printed(findings)` the readable tables. The tables
`exposure` and `costs` are not here, since stages of their own measure and write them."""

FILES = (
    *(f"{name}.csv" for name in TABLES),
    "metrics.parquet",
    *(f"{name}.{kind}" for names in TABLES.values() for name in names for kind in ("md", "tex")),
)
"""Names of all the files that `build_tables` writes."""


def load(name: str) -> ModuleType:
    """The module of the table `name`."""
    return importlib.import_module(f"distilleak.tables.{name}")
