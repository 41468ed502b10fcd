"""Names of the tables and of their files."""

DATA = (
    "models",
    "metrics",
    "comparisons",
    "success",
    "supervision",
    "ensembles",
    "frontier",
    "luck",
    "roc",
    "histograms",
    "blind",
    "split",
    "epsilon",
    "effects",
)
"""Tables as data, each a CSV file."""

READABLE = (
    "summary",
    "attacks",
    "utility",
    "comparisons",
    "success",
    "supervision",
    "ensembles",
    "frontier",
    "luck",
    "blind",
    "epsilon",
    "effects",
)
"""Tables as text, rounded and with intervals, each in Markdown and in LaTeX."""

FILES = (
    *(f"{name}.csv" for name in DATA),
    "metrics.parquet",
    *(f"{name}.{kind}" for name in READABLE for kind in ("md", "tex")),
)
"""Names of all the files that `build_tables` writes."""
