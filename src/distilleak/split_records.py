"""Draw every passage into at most one pool: split.parquet, one row per record.

One seeded draw over all passages decides, never the source or the date: a split by time is a
distribution shift, and an attack that only detects dates then looks strong. Where a corpus comes
with membership labels of an existing model, `assignment: labels` draws within each label instead.
"""

import argparse
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distilleak import seeding, stage
from distilleak.errors import DistilleakError
from distilleak.files import read_table, write_table
from distilleak.scores import EVALUATION
from distilleak.settings.pools import PoolSettings

log = logging.getLogger(__name__)

TRAINED = ("member", "shown")
"""The pools that the teacher trains on."""


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
    students = np.isin(pools, TRAINED)
    if settings.design == "factorial":
        # Within a pool the records are in a random order.
        for name in EVALUATION:
            students[np.flatnonzero(pools == name)[: counts[name] // 2]] = name == "nonmember"
    rows = np.argsort(drawn)
    pool = pools[rows]
    chosen = passages.take(pa.array(drawn[rows]))
    table = pa.table(
        {
            "record_id": chosen["passage_id"],
            "pool": pa.array(pool),
            "teacher_member": pa.array(np.isin(pool, TRAINED)),
            "student_member": pa.array(students[rows]),
            "source": chosen["source"],
            "date": chosen["date"],
        }
    )
    write_table(table, arguments.output)
    log.info("%s", ", ".join(f"{count} {name}" for name, count in counts.items()))


def draw_by_label(
    order: NDArray[np.int64], labels: NDArray[np.str_], settings: PoolSettings
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Members from the passages labelled so, the other pools from the labelled non-members.

    Args:
        order: (passages,) the seeded permutation of the passages.
        labels: (passages,) `member`, `nonmember` or empty.
        settings: records per pool, counts.

    Returns:
        (records,) the passages drawn, pool after pool, and the records per pool.

    Raises:
        DistilleakError: no passage has a label, or too few have one of them.
    """
    counts: dict[str, Any] = settings.sizes()
    if not (labels != "").any():
        raise DistilleakError(
            "pools.assignment: labels, but the corpus labels none of its passages; it needs a "
            "label_column, or a member_column and a nonmember_column"
        )
    sides = {
        "member": [pool for pool in counts if pool in TRAINED],
        "nonmember": [pool for pool in counts if pool not in TRAINED],
    }
    drawn = []
    for label, pools in sides.items():
        candidates = order[labels[order] == label]
        size = sum(counts[pool] for pool in pools)
        if size > len(candidates):
            wanted = " + ".join(f"{counts[pool]} {pool}" for pool in pools)
            total = f" = {size}" if len(pools) > 1 else ""
            raise DistilleakError(
                f"pools: {wanted}{total} records, but the corpus labels only {len(candidates)} "
                f"passages {label} after deduplication"
            )
        drawn.append(candidates[:size])
    return np.concatenate(drawn), {pool: counts[pool] for pools in sides.values() for pool in pools}


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
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
