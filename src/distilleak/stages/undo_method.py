"""Undo a method as an attacker does who holds the weights: take parts out of a released student.

Nothing is trained. All other weights are those of the student.
"""

import argparse
from collections.abc import Sequence

from distilleak.models import making
from distilleak.models.undoing import without
from distilleak.stages import base


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    device = making.prepare(arguments.threads)
    released = making.load(arguments.model, device)
    undone = without(released, arguments.remove, arguments.model)
    making.save(undone, arguments.tokenizer, arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--model", required=True, help="model directory of the released student")
    parser.add_argument(
        "--remove",
        nargs="+",
        required=True,
        help="what to take out: modules of distilleak.models.surgery",
    )
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--output", required=True, help="model directory to write")
    return parser
