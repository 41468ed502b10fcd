"""Audit finished students: may they be shipped?

Queries, attacks and judges them with texts that their teacher was trained on and comparable ones
that it was not, through the same workflow as a study; trains nothing. Ends with the verdict: exit
status 0 pass, 3 fail, 4 investigate, anything else an error. An interrupted audit goes on where it
stopped when the same command runs again.
"""

import argparse
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from distilleak import paths
from distilleak.audit import command, reading
from distilleak.audit.exposed_texts import write_texts
from distilleak.errors import DistilleakError
from distilleak.machine import signals
from distilleak.stages import base
from distilleak.study.reading import merged

SNAKEFILE = Path(__file__).parents[3] / "Snakefile"
_PAUSE = 0.1
"""Seconds between two looks at the program that is waited for."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; it ends with the exit status of the verdict.

    Raises:
        DistilleakError: the configuration is wrong, or a job failed.
    """
    arguments = _parser().parse_args(argv)
    if not SNAKEFILE.is_file():
        raise DistilleakError(f"{SNAKEFILE}: not there; an audit runs from a checkout")
    given = command.sources(vars(arguments))
    reading.check(reading.read(given))
    root = paths.study_directory(arguments.name)
    file = root / "audit.yaml"
    command.write(merged(given), file)
    words = ["--cores", arguments.cores, "--configfile", str(file)]
    run = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), *words]
    if _status(run):
        raise DistilleakError(f"the audit is not finished; {_how_to_resume(file)}")
    verdict = json.loads((root / "verdict.json").read_text())
    if arguments.texts:
        write_texts(root / "exposed.parquet", root / "passages.parquet", root / "exposed_texts.csv")
    print("\n".join(command.summary(verdict)))
    print(f"page: {root / 'report.html'}")
    if arguments.model_card:
        print((root / "card.md").read_text())
    sys.exit(command.STATUS[verdict["verdict"]])


def _how_to_resume(file: Path) -> str:
    again = f"the same command resumes it ({file})"
    if not any(Path(".snakemake/locks").glob("*")):
        return again
    unlock = ["snakemake", "--unlock", "--snakefile", str(SNAKEFILE), "--configfile", str(file)]
    return (
        "another Snakemake runs in this directory, or one was killed there: wait for it, or run "
        f"{shlex.join(unlock)}; then {again}"
    )


def _status(run: Sequence[str]) -> int:
    """The exit status of a program, which is ended when this one is asked to end.

    Ctrl-C reaches both. To wait is all that is left to do then: Snakemake ends its jobs, which save
    what they have.

    Raises:
        Interrupted: this program was asked to end.
    """
    with signals.noticed() as stopped:
        program = subprocess.Popen(run)
        asked = False
        while program.poll() is None:
            if stopped() and not asked:
                program.send_signal(signal.SIGINT)
                asked = True
            time.sleep(_PAUSE)
    if stopped():
        raise signals.Interrupted("what is finished")
    return program.returncode


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    place = "directory, GGUF file, hub:ID or api:MODEL@URL"
    parser.add_argument(
        "--student",
        action="append",
        required=True,
        metavar="[NAME=]PLACE",
        help=f"a finished student, {place}; may be repeated",
    )
    parser.add_argument("--teacher", metavar="PLACE", help=f"what it has learned from: {place}")
    parser.add_argument(
        "--base", metavar="PLACE", help=f"the public model that they come from: {place}"
    )
    parser.add_argument("--members", required=True, help="file of texts that were trained on")
    parser.add_argument("--nonmembers", required=True, help="file of like texts that were not")
    parser.add_argument("--auxiliary", help="file of further texts that were not, for more attacks")
    parser.add_argument("--policy", help="YAML file with keys of `policy` (docs/audit.md)")
    parser.add_argument("--name", default="audit", help="results lie in results/NAME")
    parser.add_argument("--context", type=int, help="longest record, in tokens (default: 192)")
    parser.add_argument("--cores", default="all", help="CPU cores (default: all)")
    parser.add_argument(
        "--model-card", action="store_true", help="print Markdown for the model card, too"
    )
    parser.add_argument(
        "--texts",
        action="store_true",
        help="write the texts of the most exposed records to results/NAME/exposed_texts.csv; "
        "they are private",
    )
    return parser
