"""Join evidence that several jobs computed, one row group at a time: memory stays constant.

Every part is the evidence of some windows of records; joined in order, they have the bytes of the
file that one job would have written.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from distilleak.evidence.joining import join
from distilleak.stages import base


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    join(arguments.parts, arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument(
        "--parts",
        type=Path,
        nargs="+",
        required=True,
        help="<view>.parquet of every part, in order",
    )
    parser.add_argument("--output", type=Path, required=True, help="<view>.parquet to write")
    return parser
