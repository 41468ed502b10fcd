"""Forecast what a study will cost before it runs, and compare with what it did cost.

The jobs are those that Snakemake would run now. Their time comes from the benchmark files of
earlier studies on the same machine, scaled by floating-point operations; where there are none, from
`--tflops`. The forecast is kept in results/<study>/forecast.csv; `--compare` after the run sets
what its benchmark files and outputs say beside it.
"""

import argparse
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from distilleak.costs.forecast import (
    Expected,
    comparison,
    measured,
    read_forecast,
    summary,
    write_forecast,
)
from distilleak.costs.jobs import pending
from distilleak.costs.operations import Costs
from distilleak.costs.rates import CPU_TFLOPS, Rates
from distilleak.errors import DistilleakError
from distilleak.stages import base
from distilleak.study.plan import views
from distilleak.study.reading import read_study


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
    parser = base.parser(__name__, __doc__)
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
