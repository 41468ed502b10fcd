"""Forecast what a study will cost before it runs, and compare with what it did cost.

The jobs are those that Snakemake would run now. Their time comes from the benchmark files of
earlier studies on the same machine, scaled by floating-point operations; where there are none, from
`--tflops`. The forecast is kept in results/<study>/forecast.csv; `--compare` after the run sets
what its benchmark files and outputs say beside it.
"""

import argparse
import csv
import io
import math
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config
from tabulate import tabulate

from distilleak import attacking, benchmarks, stage
from distilleak.costing import CPU_TFLOPS, Costs, Job, Measured, Rates
from distilleak.errors import DistilleakError
from distilleak.files import read_json, write_text
from distilleak.settings import reading
from distilleak.settings.study import Study

COLUMNS = ("rule", "wildcards", "gpus", "seconds", "bytes", "basis", "outputs")
HOUR, GIB = 3600.0, 2.0**30
SAME = {"train_kept_student": "train_student"}
"""Rules that do and measure the same as another one."""
ONE_JOB = ("build_tables", "measure_exposure")
"""Rules with one job for the whole study, whatever it writes."""


@dataclass(frozen=True)
class Expected:
    """A job and what it is expected to cost."""

    rule: str
    wildcards: str
    gpus: int
    seconds: float
    bytes: float
    basis: str
    outputs: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = _parser().parse_args(argv)
    study = read_study(arguments.configfile, arguments.config)
    home = Path("results", study.study)
    if arguments.compare:
        print(comparison(read_forecast(home / "forecast.csv"), home))
        return
    jobs = list(pending(_summary(arguments), study))
    rates = Rates.of([job for place in _earlier(arguments) for job in measured(place)])
    costs = Costs(study, dict(arguments.size), views(study))
    forecast = []
    for job in jobs:
        seconds, basis = rates.expect(job, costs, arguments.tflops)
        gpus = (study.hardware.gpus if job.rule.startswith("train_") else 1) * job.needs_model
        forecast.append(
            Expected(job.rule, job.wildcards, gpus, seconds, costs.bytes(job), basis, job.outputs)
        )
    if not forecast:
        print(f"{study.study}: nothing to be done")
        return
    write_forecast(forecast, home / "forecast.csv")
    print(summary(forecast))


def read_study(files: Sequence[str], given: Sequence[str]) -> Study:
    """The configuration that Snakemake would read from these files and `KEY=VALUE` words.

    Raises:
        DistilleakError: it is not valid.
    """
    sources: dict[str, dict[str, Any]] = {file: reading.read_yaml(file) for file in files}
    words = dict(word.split("=", 1) for word in given if "=" in word)
    if len(words) != len(given):
        raise DistilleakError(f"--config: {' '.join(given)}: KEY=VALUE is needed, each key once")
    sources["--config"] = reading.typed({key: yaml.safe_load(v) for key, v in words.items()})
    merged: dict[str, Any] = {}
    for source in sources.values():
        update_config(merged, source)
    return reading.load(merged, sources)


def views(study: Study) -> dict[str, list[str]]:
    """Views of evidence by rule, as the workflow asks for them."""
    attacks = study.attack_entries()
    entries = list(attacks.values())
    population = ["population"] if attacking.population_of(entries) else []
    finder = attacks[study.vulnerability.attack]
    shadow_population = population if attacking.shadow_population_of(entries) else []
    asked = [
        *attacking.views_of(entries), *population, *(["candidates"] if study.canaries else [])
    ]  # fmt: skip
    of_reference = population if attacking.reference_population_of(entries) else []
    return {
        "compute_evidence": asked,
        "compute_mixture_evidence": asked,
        "compute_reference_evidence": ["plain", *of_reference],
        "compute_shadow_evidence": [*attacking.views_of([finder]), *shadow_population],
        "compute_shadow_mixture_evidence": ["plain", *shadow_population],
    }


def pending(table: str, study: Study) -> Iterator[Job]:
    """The jobs that `snakemake --summary` says would run."""
    outputs: dict[tuple[str, str], list[str]] = {}
    pattern = _model_path(study)
    for row in csv.DictReader(io.StringIO(table), delimiter="\t"):
        if row["plan"] == "update pending":
            name = _wildcards(row["rule"], row["output_file"], study, pattern)
            rule = SAME.get(row["rule"], row["rule"])
            outputs.setdefault((rule, name), []).append(row["output_file"])
    for (rule, name), files in outputs.items():
        yield Job(rule, name, tuple(files))


def _model_path(study: Study) -> re.Pattern[str]:
    pairs = "|".join(map(re.escape, study.arms()))
    return re.compile(
        rf"results/{study.study}/seed-(?P<seed>\d+(?:/shadow-\d+)?)/(?P<pair>{pairs})"
        r"(?:/shards/(?P<part>\d+-of-\d+))?/(?P<model>[a-z0-9_-]+)/"
    )


def _wildcards(rule: str, output: str, study: Study, pattern: re.Pattern[str]) -> str:
    """The wildcards of the job that writes a file, as in the name of its benchmark file."""
    found = pattern.match(output)
    if rule in ONE_JOB:
        return "all"
    if found is None:
        # Named for the directory: that of a corpus, of a seed, or of both.
        place = Path(output).relative_to(f"results/{study.study}").with_suffix("")
        if rule == "load_corpus":
            return ".".join([*place.parent.parts, "all"])
        if rule == "audit_split":
            return ".".join(place.parent.parts).removeprefix("seed-")
        return ".".join(place.parts)
    model = "mixtures" if "mixture" in rule else found["model"]
    parts = [found["seed"].replace("/", "."), found["pair"], model, found["part"]]
    return ".".join(part for part in parts if part)


def measured(home: Path) -> Iterator[Measured]:
    """The finished jobs of a study in results/<study>; none where it has no complete configuration.

    Raises:
        DistilleakError: its config.json or a benchmark file is damaged.
    """
    if not (home / "config.json").is_file() or not (home / "benchmarks").is_dir():
        return
    raw = read_json(home / "config.json")
    study = reading.load(raw, {str(home / "config.json"): raw})
    costs = Costs(study, {}, views(study))
    for done in benchmarks.read_jobs(home / "benchmarks", home):
        job = Job(done.rule, done.model)
        # A benchmark file may be left from a configuration before this one.
        try:
            operations = costs.operations(job) if job.needs_model else math.nan
        except (DistilleakError, LookupError, ValueError):
            continue
        yield Measured(done.rule, operations, done.wall_s)


def summary(forecast: Sequence[Expected]) -> str:
    """The table of a forecast, one row per rule."""
    rows = []
    for rule, jobs in _by_rule(forecast):
        rows.append([rule, *_figures(jobs), "; ".join(sorted({job.basis for job in jobs}))])
    rows.append(["total", *_figures(forecast), ""])
    head = ["rule", "jobs", "GPU hours", "other hours", "disk (GiB)", "time from"]
    return tabulate(rows, head, floatfmt=("", "d", ".3f", ".3f", ".3f", ""), tablefmt="github")


def _figures(jobs: Sequence[Expected]) -> list[float]:
    return [
        len(jobs),
        sum(job.gpus * job.seconds for job in jobs) / HOUR,
        sum(job.seconds for job in jobs if not job.gpus) / HOUR,
        sum(job.bytes for job in jobs) / GIB,
    ]


def comparison(forecast: Sequence[Expected], home: Path) -> str:
    """The table of forecast and fact, over those jobs that have been measured since."""
    walls = {
        (job.rule, job.model): job.wall_s for job in benchmarks.read_jobs(home / "benchmarks", home)
    }
    rows: list[tuple[str, list[float]]] = []
    for rule, jobs in _by_rule(forecast):
        done = [job for job in jobs if walls.get((rule, job.wildcards), math.nan) > 0]
        if done:
            written = sum(_size(Path(file)) for job in done for file in job.outputs)
            figures = [
                len(jobs),
                len(done),
                sum(job.seconds for job in done) / HOUR,
                sum(walls[rule, job.wildcards] for job in done) / HOUR,
                sum(job.bytes for job in done) / GIB,
                written / GIB,
            ]
            rows.append((rule, figures))
    if not rows:
        raise DistilleakError(f"{home / 'benchmarks'}: no job of the forecast has run yet")
    rows.append(("total", [sum(column) for column in zip(*(f for _, f in rows), strict=True)]))
    shown = [
        [rule, jobs, done, hours, fact, fact / hours, gib, written]
        for rule, (jobs, done, hours, fact, gib, written) in rows
    ]
    head = [
        *("rule", "jobs", "measured", "hours, forecast", "hours, fact", "fact / forecast"),
        *("GiB, forecast", "GiB, fact"),
    ]
    formats = ("", "d", "d", ".3f", ".3f", ".2f", ".3f", ".3f")
    return tabulate(shown, head, floatfmt=formats, tablefmt="github")


def _by_rule(forecast: Sequence[Expected]) -> Iterator[tuple[str, list[Expected]]]:
    ordered = sorted(forecast, key=lambda job: (not job.gpus, job.rule))
    for (_, rule), jobs in groupby(ordered, key=lambda job: (not job.gpus, job.rule)):
        yield rule, list(jobs)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.is_file() else 0


def write_forecast(forecast: Sequence[Expected], path: Path) -> None:
    """One row per job, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for job in forecast:
        fields = (job.rule, job.wildcards, job.gpus, repr(job.seconds), repr(float(job.bytes)))
        writer.writerow([*fields, job.basis, " ".join(job.outputs)])
    write_text(text.getvalue(), path)


def read_forecast(path: Path) -> list[Expected]:
    """What `write_forecast` wrote.

    Raises:
        DistilleakError: it is missing or damaged.
    """
    if not path.is_file():
        raise DistilleakError(f"{path}: no such file; forecast before the run writes it")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return [
            Expected(
                row["rule"], row["wildcards"], int(row["gpus"]), float(row["seconds"]),
                float(row["bytes"]), row["basis"], tuple(row["outputs"].split()),
            )
            for row in rows
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DistilleakError(f"{path}: damaged; delete it and forecast again") from error


def _summary(arguments: argparse.Namespace) -> str:
    configured = ["--config", *arguments.config] if arguments.config else []
    command = ["--summary", "--configfile", *arguments.configfile, *configured]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise DistilleakError(lines[-1].removeprefix("error: ") if lines else "snakemake failed")
    return done.stdout


def _earlier(arguments: argparse.Namespace) -> list[Path]:
    if arguments.earlier is None:
        return sorted(Path("results").glob("*"))
    for place in arguments.earlier:
        if not (place / "config.json").is_file():
            raise DistilleakError(f"--earlier {place}: no config.json; results/<study> is needed")
    return list(arguments.earlier)


def _size_argument(text: str) -> tuple[str, float]:
    name, _, count = text.rpartition("=")
    try:
        number = float(count)
    except ValueError:
        number = math.nan
    if not name or not number > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=PARAMETERS")
    return name, number


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
    parser.add_argument(
        "--configfile",
        nargs="+",
        default=["config/config.yaml"],
        help="as for snakemake (default: config/config.yaml)",
    )
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="the same")
    parser.add_argument(
        "--earlier",
        type=Path,
        nargs="*",
        help="results/<study> of studies whose jobs ran on the machine that is meant "
        "(default: all in results/)",
    )
    parser.add_argument(
        "--tflops",
        type=float,
        default=CPU_TFLOPS,
        help="10^12 operations a second of a job, for rules that have not run yet "
        f"(default: {CPU_TFLOPS}, one CPU core)",
    )
    parser.add_argument(
        "--size",
        type=_size_argument,
        action="append",
        default=[],
        metavar="NAME=PARAMETERS",
        help="parameters of a pretrained model, such as openai-community/gpt2=124e6; repeat it",
    )
    parser.add_argument(
        "--compare", action="store_true", help="after the run: forecast and fact side by side"
    )
    return parser
