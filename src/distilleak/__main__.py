"""Run one stage on named files; `python -m distilleak STAGE --help` says what it reads and writes.

`snakemake --cores all` runs those that a study needs, in order.
"""

import gc
import os
import sys

from distilleak import catalogue
from distilleak.machine import imports, signals
from distilleak.stages.base import run

STAGES = tuple(catalogue.names("stages"))
"""Stages are found by file name, as methods are."""


def main() -> None:
    """Run the stage that the command line names on the rest of the command line."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        print(
            f"usage: python -m distilleak STAGE [-h] ...\n\n{__doc__}\nStages: {', '.join(STAGES)}"
        )
        return
    if not name:
        sys.exit(f"error: no stage given; allowed: {', '.join(STAGES)}")
    if name not in STAGES:
        sys.exit(f"error: unknown stage {name!r}{catalogue.suggestion(name, STAGES)}")
    signals.interrupt_in_one_line()
    # Figures are drawn into files. A notebook names a backend that the jobs do not have.
    os.environ["MPLBACKEND"] = "agg"
    imports.spare()
    # While torch and transformers are imported, and once more at exit, the garbage collector scans
    # all the objects that they define and finds nothing: a quarter of the time of a small job.
    gc.disable()
    stage = catalogue.load("stages", name)
    gc.freeze()
    gc.enable()
    run(stage.main, sys.argv[2:])


if __name__ == "__main__":
    main()
