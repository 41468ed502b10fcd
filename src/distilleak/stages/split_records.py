"""Draw every passage into at most one pool: split.parquet, one row per record.

One seeded draw over all passages decides, never the date: a split by time is a distribution shift,
and an attack that only detects dates then looks strong. `by: source` draws whole documents instead
of passages. Where a corpus comes with membership labels of an existing model, `assignment: labels`
draws within each label.
"""

import argparse
import logging
from collections.abc import Sequence

from distilleak.files import read_table, write_table
from distilleak.records import splitting
from distilleak.settings.pools import PoolSettings
from distilleak.stages import base

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    passages = read_table(arguments.passages, splitting.columns(arguments.pools))
    records, counts = splitting.split(passages, arguments.pools, arguments.seed)
    write_table(records, arguments.output)
    log.info("%s", ", ".join(f"{count} {name}" for name, count in counts.items()))


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--passages", required=True, help="passages.parquet")
    parser.add_argument(
        "--pools",
        type=base.settings_argument(PoolSettings),
        required=True,
        help="JSON: records per pool",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the draw")
    parser.add_argument("--output", required=True, help="split.parquet to write")
    return parser
