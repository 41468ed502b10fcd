"""Write what a GPU gave into docs/performance.md: `python benchmarks/gpu/results.py RESULTS`.

RESULTS is the folder that benchmarks/gpu/run.sh filled, however far it came. The part of the page
between the two marks is replaced.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- benchmarks/gpu/results.py: begin -->", "<!-- benchmarks/gpu/results.py: end -->"


def main() -> None:
    """Replace the part of the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--page", type=Path, default=PAGE, help="(default: docs/performance.md)")
    given = parser.parse_args()
    page = given.page.read_text(encoding="utf-8")
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        sys.exit(f"error: {given.page}: should hold the two marks of this script once each")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    given.page.write_text(f"{before}{BEGIN}\n{written(given.results)}\n{END}{after}", "utf-8")


def written(results: Path) -> str:
    """The paragraphs and tables of a folder."""
    machine = json.loads((results / "machine.json").read_text(encoding="utf-8"))
    if machine["gpu"] is None:
        sys.exit(f"error: {results}/machine.json: measured on a machine without a GPU")
    parts = [
        f"`bash benchmarks/gpu/run.sh` on one {machine['gpu']}, with Python {machine['python']}, "
        f"torch {machine['torch']} and transformers {machine['transformers']}:"
    ]
    steps = results / "steps.txt"
    if steps.is_file():
        lines = steps.read_text(encoding="utf-8").splitlines()
        parts.append("\n".join(f"- {line}" for line in lines))
    if (results / "smoke" / "compared.csv").is_file():
        parts.append(compared(pd.read_csv(results / "smoke" / "compared.csv")))
    if (results / "bench.jsonl").is_file():
        lines = (results / "bench.jsonl").read_text(encoding="utf-8").splitlines()
        parts += speeds([json.loads(line) for line in lines])
    for name, configuration in (("default", "config.yaml"), ("gpu", "gpu.yaml")):
        if (results / name / "costs.csv").is_file():
            parts.append(costs(pd.read_csv(results / name / "costs.csv"), configuration))
    return "\n\n".join(parts)


def compared(table: pd.DataFrame) -> str:
    """How far the smoke study on the GPU is from that on the CPU."""
    largest = table.groupby("metric")["difference"].max()
    named = ", ".join(
        f"{metric} {largest[metric]:.4f}"
        for metric in ("heldout_loss", "auc", "balanced_accuracy")
        if metric in largest
    )
    return f"Largest differences of the smoke study from the same study on the CPU: {named}."


def speeds(found: list[dict[str, Any]]) -> list[str]:
    """A paragraph on the card and a table of speeds."""
    parts = []
    for line in found:
        if "device" in line:
            rates = line["matrix products (TFLOP/s)"]
            named = ", ".join(f"{rate:.0f} in {dtype}" for dtype, rate in rates.items())
            parts.append(f"Its matrix products reach {named} (TFLOP/s).")
    rows = [
        f"| {line['teacher']} | {line['what']} | {line['precision']} "
        f"| {line['tokens per second']:,.0f} | {100 * line['share of the measured peak']:.0f} % "
        f"| {line['peak memory (GiB)']:.1f} |"
        for line in found
        if "what" in line
    ]
    if rows:
        head = ["| teacher | what | precision | tokens/s | share of the peak | memory (GiB) |"]
        parts.append("\n".join([*head, "|---|---|---|---|---|---|", *rows]))
    return parts


def costs(table: pd.DataFrame, configuration: str) -> str:
    """The stages of a study that take longest."""
    total = table[table["model"] == "total"].nlargest(6, "wall_s")
    named = ", ".join(
        f"{row.rule} {row.wall_s:.0f} s ({row.jobs} jobs)" for row in total.itertuples()
    )
    return f"`config/{configuration}`, wall seconds summed over jobs that share the card: {named}."


if __name__ == "__main__":
    main()
