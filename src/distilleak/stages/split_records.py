"""Draw every passage into at most one pool: split.parquet, one row per record.

One seeded draw over all passages decides, never the source or the date: a split by time is a
distribution shift, and an attack that only detects dates then looks strong. Where a corpus comes
with membership labels of an existing model, `assignment: labels` draws within each label instead.
"""

import argparse
import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from distilleak import seeding
from distilleak.files import read_table, write_table
from distilleak.records.drawing import EVALUATION_POOLS, TRAINING_POOLS, draw_by_label
from distilleak.settings.pools import PoolSettings
from distilleak.stages import base

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    settings: PoolSettings = arguments.pools
    labelled = settings.assignment == "labels"
    columns = ["passage_id", "source", "date", *(["label"] if labelled else [])]
    passages = read_table(arguments.passages, columns)
    order = seeding.stream(arguments.seed, "split").permutation(len(passages))
    if labelled:
        labels = np.array(passages["label"].to_pylist(), dtype=str)
        drawn, counts = draw_by_label(order, labels, settings)
    else:
        counts = settings.counts(len(passages))
        drawn = order[: sum(counts.values())]
    pools = np.repeat(list(counts), list(counts.values()))
    students = np.isin(pools, TRAINING_POOLS)
    if settings.design == "factorial":
        # Within a pool the records are in a random order.
        for name in EVALUATION_POOLS:
            students[np.flatnonzero(pools == name)[: counts[name] // 2]] = name == "nonmember"
    rows = np.argsort(drawn)
    pool = pools[rows]
    chosen = passages.take(pa.array(drawn[rows]))
    table = pa.table(
        {
            "record_id": chosen["passage_id"],
            "pool": pa.array(pool),
            "teacher_member": pa.array(np.isin(pool, TRAINING_POOLS)),
            "student_member": pa.array(students[rows]),
            "source": chosen["source"],
            "date": chosen["date"],
        }
    )
    write_table(table, arguments.output)
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
