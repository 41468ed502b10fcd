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
    comparison,
    expect,
    measured,
    read_forecast,
    summary,
    write_forecast,
)
from distilleak.costs.jobs import pending
from distilleak.costs.operations import Costs
from distilleak.costs.rates import CPU_TFLOPS, Rates
from distilleak.errors import DistilleakError
from distilleak.paths import study_directory
from distilleak.stages import base
from distilleak.study.plan import Plan
from distilleak.study.reading import read_files


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = _parser().parse_args(argv)
    study = read_files(arguments.configfile, arguments.config)
    home = study_directory(study.configuration.study)
    if arguments.compare:
        print(comparison(read_forecast(home / "forecast.csv"), home))
        return
    jobs = list(pending(_summary(arguments.configfile, arguments.config), study))
    rates = Rates.of([job for place in _earlier(arguments.earlier) for job in measured(place)])
    expected = expect(jobs, rates, Costs(Plan(study), dict(arguments.size)), arguments.tflops)
    if not expected:
        print(f"{study.configuration.study}: nothing to be done")
        return
    write_forecast(expected, home / "forecast.csv")
    print(summary(expected))


def _summary(files: Sequence[str], given: Sequence[str]) -> str:
    """What `snakemake --summary` says of the study."""
    configured = ["--config", *given] if given else []
    command = ["--summary", "--configfile", *files, *configured]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise DistilleakError(lines[-1].removeprefix("error: ") if lines else "snakemake failed")
    return done.stdout


def _earlier(given: Sequence[Path] | None) -> list[Path]:
    """The studies whose jobs are measured: those given, or all in results/."""
    if given is None:
        return sorted(study_directory("").glob("*"))
    for place in given:
        if not (place / "config.json").is_file():
            raise DistilleakError(f"--earlier {place}: no config.json; results/<study> is needed")
    return list(given)


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
