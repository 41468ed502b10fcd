"""What the stages that train share on their command lines, and their snapshots."""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from distilleak.guards import locks
from distilleak.machine import processes
from distilleak.machine.fingerprint import fingerprint
from distilleak.settings.training import HardwareSettings, TrainingSettings
from distilleak.stages import base
from distilleak.training.snapshots import Snapshots

INDIFFERENT = {"output", "epochs", "facts", "selection", "snapshots", "hardware"}
"""Arguments that change nothing about the trained weights."""


def add(parser: argparse.ArgumentParser, kind: type[TrainingSettings]) -> None:
    """Add the options of a training: `kind` of settings, hardware, seed, threads, snapshots."""
    parser.add_argument(
        "--training",
        type=base.settings_argument(kind),
        required=True,
        help="JSON: training settings",
    )
    parser.add_argument(
        "--hardware",
        type=base.settings_argument(HardwareSettings),
        default=HardwareSettings(),
        help="JSON: how the machine is used (default: one process, precision by the device)",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the study")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument(
        "--snapshots",
        type=Path,
        help="directory for the state of an unfinished training, from which it is resumed",
    )


def alone(snapshots: Path | None, output: str) -> AbstractContextManager[None]:
    """Inside the block no other job trains what this one does, all its processes together."""
    return locks.alone(output, snapshots) if processes.is_main() else nullcontext()


def snapshots(
    directory: Path | None,
    hardware: HardwareSettings,
    options: Mapping[str, object],
    files: Sequence[str | Path],
) -> Snapshots | None:
    """The snapshots of a training in `directory`, if it is given.

    Args:
        directory: for the snapshots of this training alone.
        hardware: how the machine is used.
        options: all options of the stage; those that are not `INDIFFERENT` identify the training.
        files: all that the training reads; their contents identify it too.
    """
    if directory is None:
        return None
    deciding = {name: value for name, value in options.items() if name not in INDIFFERENT}
    deciding["precision"] = hardware.precision
    if options.get("epochs") is not None:
        # A training that did not keep its first epochs cannot be resumed as one that keeps all.
        deciding["keeps epochs"] = True
    return Snapshots(directory, fingerprint(deciding, files), hardware.checkpoint_minutes)
