"""Every estimate on the findings page is in the tables that are stored with it."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

DOCS = Path(__file__).parents[1] / "docs"
NUMBER = r"([−+]?\d+\.\d{3,4})"
ESTIMATE = re.compile(rf"{NUMBER} \({NUMBER} to {NUMBER}\)")
TRIPLES = (
    ("value", "low", "high"),
    ("difference", "low", "high"),
    ("difference", "difference_low", "difference_high"),
    ("loss", "loss_low", "loss_high"),
    ("leakage", "leakage_low", "leakage_high"),
    ("seed_sd", "low", "high"),
    ("auc", "low", "high"),
)


def kept() -> np.ndarray:
    """All estimates with their intervals, (n, 3)."""
    found = []
    for file in sorted((DOCS / "results").rglob("*.*")):
        if file.suffix not in (".csv", ".parquet"):
            continue
        table = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
        found += [table[[*names]] for names in TRIPLES if {*names} <= {*table}]
    return np.concatenate([part.to_numpy(np.float64) for part in found])


def test_every_estimate_is_in_a_table() -> None:
    text = " ".join((DOCS / "findings.md").read_text(encoding="utf-8").split())
    estimates = ESTIMATE.findall(text)
    assert len(estimates) > 30
    tables = kept()
    for written in estimates:
        numbers = np.array([float(number.replace("−", "-")) for number in written])
        digits = len(written[0].partition(".")[2])
        # Half a unit in the last place, plus what was cut off when the table was printed.
        near = np.abs(tables - numbers).max(axis=1) <= 0.5 * 10**-digits + 1e-6
        assert near.any(), f"{written} is in no table of docs/results"


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", (DOCS / "findings.md").read_text()))
def test_what_the_page_shows_exists(link: str) -> None:
    assert link.startswith("https://") or (DOCS / link).exists()
