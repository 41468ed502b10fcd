"""Compare the tables of one study that ran twice: `compare.py FIRST SECOND`, results/<study> each.

The same seeds start the same models, so what differs is rounding, which training amplifies. Prints
the largest difference of each metric beside the one that is allowed, writes all of them, and exits
with an error if one is larger.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

ALLOWED = {"heldout_loss": 0.02, "top1_accuracy": 0.02, "auc": 0.05, "balanced_accuracy": 0.1}
"""Metric -> largest difference: what training in TF32 in place of float32 moved on tiny models."""
KEYS = ["seed", "pair", "model", "attack", "metric", "threshold"]


def main() -> None:
    """Print and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--output", type=Path, help="CSV of all differences")
    given = parser.parse_args()
    first, second = (
        pd.read_csv(
            place / "tables" / "metrics.csv", keep_default_na=False, na_values={"value": ""}
        )
        for place in (given.first, given.second)
    )
    both = first.merge(second, on=KEYS, suffixes=("_first", "_second"))
    if len(both) != len(first) or len(both) != len(second):
        sys.exit(f"error: {len(first)} and {len(second)} rows, of which {len(both)} are the same")
    both["difference"] = (both["value_first"] - both["value_second"]).abs()
    if given.output:
        both.to_csv(given.output, index=False)
    wrong = []
    there = {
        metric: allowed for metric, allowed in ALLOWED.items() if metric in set(both["metric"])
    }
    if not there:
        sys.exit(f"error: the studies have none of {', '.join(ALLOWED)}")
    for metric, allowed in there.items():
        largest = both.loc[both["metric"] == metric, "difference"].max()
        print(f"{metric}: {largest:.4f} (allowed: {allowed})")
        if not largest <= allowed:
            wrong.append(metric)
    if wrong:
        sys.exit(f"error: {', '.join(wrong)} differ by more than is allowed")


def table(results: Path) -> pd.DataFrame:
    """Every metric; attack and threshold are empty where there is none."""
    file = results / "tables" / "metrics.csv"
    return pd.read_csv(file, keep_default_na=False, na_values={"value": ""})


if __name__ == "__main__":
    main()
