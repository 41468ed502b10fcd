"""Draw every passage into at most one pool: split.parquet, one row per record.

One seeded draw over all passages decides, never the source or the date: a split by time is a
distribution shift, and an attack that only detects dates then looks strong.
"""

import argparse
import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from distilleak import seeding, stage
from distilleak.files import read_table, write_table
from distilleak.settings.pools import PoolSettings

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    passages = read_table(arguments.passages, ["passage_id", "source", "date"])
    counts = arguments.pools.counts(len(passages))
    drawn = seeding.stream(arguments.seed, "split").permutation(len(passages))
    drawn = drawn[: sum(counts.values())]
    pools = np.repeat(list(counts), list(counts.values()))
    order = np.argsort(drawn)
    pool = pools[order]
    chosen = passages.take(pa.array(drawn[order]))
    table = pa.table(
        {
            "record_id": chosen["passage_id"],
            "pool": pa.array(pool),
            "teacher_member": pa.array(pool == "member"),
            "student_member": pa.array(pool == "member"),
            "source": chosen["source"],
            "date": chosen["date"],
        }
    )
    write_table(table, arguments.output)
    log.info("%s", ", ".join(f"{count} {name}" for name, count in counts.items()))


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__doc__)
    parser.add_argument("--passages", required=True, help="passages.parquet")
    parser.add_argument(
        "--pools",
        type=stage.settings_argument(PoolSettings),
        required=True,
        help="JSON: records per pool",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the draw")
    parser.add_argument("--output", required=True, help="split.parquet to write")
    return parser


if __name__ == "__main__":
    stage.run(main)
