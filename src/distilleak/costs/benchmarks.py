"""Reading the benchmark file that Snakemake writes for each job."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distilleak.errors import DistilleakError
from distilleak.files import NUMBER, check_object
from distilleak.guards import sealed_json
from distilleak.paths import model_directory

UNKNOWN = ("-", "NA", "nan")  # for a job that ended before it could be sampled
TRAINING = "train_"  # prefix of the rules that train a model


@dataclass(frozen=True)
class FinishedJob:
    """The contents of one benchmark file; NaN where unknown."""

    rule: str
    model: str  # the wildcards, joined by dots
    wall_s: float
    max_rss_mib: float
    tokens: float  # seen in training


def read_jobs(benchmarks: Path, facts_root: Path) -> Iterator[FinishedJob]:
    """Read `<benchmarks>/<rule>/<wildcards>.tsv`, sorted by rule and wildcards.

    For a rule `train_*`, the tokens are read from facts.json in the model directory that the
    wildcards `seed.pair.model` name; NaN if there is none.

    Raises:
        DistilleakError: the directory is missing, or a file is damaged.
    """
    if not benchmarks.is_dir():
        raise DistilleakError(f"{benchmarks}: no such directory; it holds the benchmark files")
    for path in sorted(benchmarks.glob("*/**/*.tsv")):
        # A wildcard may contain a slash: the directory of a corpus or of a shadow.
        rule, *wildcards = path.relative_to(benchmarks).with_suffix("").parts
        tokens = _tokens("/".join(wildcards), facts_root) if rule.startswith(TRAINING) else math.nan
        yield FinishedJob(rule, ".".join(wildcards), *_read(path), tokens)


def _read(path: Path) -> tuple[float, float]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if len(rows) != 1:
        raise DistilleakError(
            f"{path}: {len(rows)} rows; a benchmark file has a header and one row"
        )
    # The CPU time is not used: it is sampled, and misses what a job did after the last sample.
    return _number(rows[0], "s", path), _number(rows[0], "max_rss", path)


def _number(row: dict[str, str | None], column: str, path: Path) -> float:
    text = row.get(column)
    if text in UNKNOWN:
        return math.nan
    try:
        return float(text or "")
    except ValueError as error:
        raise DistilleakError(
            f"{path}: column {column!r} is {text!r}; a number is needed, or {' or '.join(UNKNOWN)}"
        ) from error


def _tokens(wildcards: str, facts_root: Path) -> float:
    parts = wildcards.split(".", 2)
    facts = model_directory(facts_root, *parts) / "facts.json" if len(parts) == 3 else None
    if facts is None or not facts.is_file():
        return math.nan
    found = check_object(sealed_json.read(facts), {"training_tokens": NUMBER}, facts)
    return float(found["training_tokens"])
