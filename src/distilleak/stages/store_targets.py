"""Store the teacher's exact logits on the distillation set, for all students and epochs."""

import argparse
from collections.abc import Sequence

from distilleak.guards import locks
from distilleak.models import making
from distilleak.records.table import read_training_set
from distilleak.stages import base
from distilleak.training import targets


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    with locks.alone(arguments.output):
        device = making.prepare(arguments.threads)
        teacher = making.load(arguments.teacher, device)
        framing = making.framing(teacher, arguments.teacher)
        members = read_training_set(arguments.records, "student")
        targets.store(teacher, members.tokens, framing, arguments.batch_tokens, arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--teacher", required=True, help="teacher's model directory")
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument(
        "--batch-tokens", type=int, default=1024, help="tokens per forward pass (default: 1024)"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--output", required=True, help=".npy file to write")
    return parser
