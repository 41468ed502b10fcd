"""Join evidence that several jobs computed, one row group at a time: memory stays constant.

Every shard is the evidence of some windows of records; in their order they give the bytes of the
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
    join(arguments.shards, arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument(
        "--shards", type=Path, nargs="+", required=True, help="<view>.parquet of every shard"
    )
    parser.add_argument("--output", type=Path, required=True, help="<view>.parquet to write")
    return parser
