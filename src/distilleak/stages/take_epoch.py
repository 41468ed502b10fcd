"""Take a student as it was after an earlier epoch: training stopped early, without training."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from distilleak.errors import DistilleakError
from distilleak.files import atomic, check_object
from distilleak.guards import checksums, sealed_json
from distilleak.stages import base


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    kept = arguments.epochs / str(arguments.epoch)
    if not (kept / "model").is_dir():
        raise DistilleakError(
            f"{arguments.epochs}: epoch {arguments.epoch} was not kept; "
            f"{checksums.mending(arguments.epochs)}"
        )
    checksums.verify(kept / "model", output=arguments.epochs)
    facts = sealed_json.read(kept / "facts.json", output=arguments.epochs)
    with atomic(arguments.output) as temporary:
        shutil.copytree(kept / "model", temporary)
    with atomic(arguments.selection) as temporary:
        shutil.copyfile(arguments.selected, temporary)
    sealed_json.write(check_object(facts, {}, kept / "facts.json"), arguments.facts)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument(
        "--epochs", type=Path, required=True, help="directory of the trained student's epochs"
    )
    parser.add_argument("--epoch", type=int, required=True, help="after which one")
    parser.add_argument("--selected", required=True, help="selection.parquet of that student")
    parser.add_argument("--output", required=True, help="model directory to write")
    parser.add_argument("--selection", required=True, help="the same selection, to write")
    parser.add_argument("--facts", required=True, help="JSON of losses and counts to write")
    return parser
