"""What the stages that train share on their command lines, and their snapshots."""

import argparse
from collections.abc import Sequence
from pathlib import Path

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
        help="directory for the state of an unfinished training, from which it goes on",
    )


def snapshots(arguments: argparse.Namespace, files: Sequence[str | Path]) -> Snapshots | None:
    """The snapshots of the training that `arguments` and the contents of `files` describe."""
    if arguments.snapshots is None:
        return None
    different = {
        name: value for name, value in vars(arguments).items() if name not in INDIFFERENT
    } | {"precision": arguments.hardware.precision}
    if getattr(arguments, "epochs", None) is not None:
        # A training that did not keep its first epochs cannot go on as one that keeps all.
        different["keeps epochs"] = True
    return Snapshots(
        arguments.snapshots,
        fingerprint(different, files),
        arguments.hardware.checkpoint_minutes,
    )
