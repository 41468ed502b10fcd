"""Drawing passages into pools: which become records, and who trains on them."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distilleak import seeding
from distilleak.errors import DistilleakError
from distilleak.records import documents
from distilleak.records.evaluation import EVALUATION_POOLS
from distilleak.settings.pools import PoolSettings

TRAINING_POOLS = ("member", "shown")
"""The pools that the teacher trains on."""


def columns(settings: PoolSettings) -> pa.Schema:
    """The columns of the passages that a split needs."""
    labelled = ["label"] if settings.assignment == "labels" else []
    names = ["passage_id", "source", "date", *labelled]
    return pa.schema([pa.field(name, pa.string()) for name in names])


def split(passages: pa.Table, settings: PoolSettings, seed: int) -> tuple[pa.Table, dict[str, int]]:
    """A row per record, and the number of records per pool.

    Raises:
        DistilleakError: there are too few passages or documents, or a passage that has to be drawn
            with its document has none.
    """
    order = seeding.stream(seed, "split").permutation(len(passages))
    if settings.assignment == "labels":
        labels = np.array(passages["label"].to_pylist(), dtype=str)
        drawn, counts = _draw_by_label(order, labels, settings)
    else:
        counts = settings.counts(len(passages))
        drawn = order[: sum(counts.values())]
        if settings.by == "source":
            drawn = documents.draw(passages, order, _parts(counts, settings.design), seed)
    pools = np.repeat(list(counts), list(counts.values()))
    students = np.isin(pools, TRAINING_POOLS)
    if settings.design == "factorial":
        # Within a pool the records are in a random order, or its halves hold whole documents.
        for name in EVALUATION_POOLS:
            students[np.flatnonzero(pools == name)[: counts[name] // 2]] = name == "nonmember"
    rows = np.argsort(drawn)
    pool = pools[rows]
    chosen = passages.take(pa.array(drawn[rows]))
    records = pa.table(
        {
            "record_id": chosen["passage_id"],
            "pool": pa.array(pool),
            "teacher_member": pa.array(np.isin(pool, TRAINING_POOLS)),
            "student_member": pa.array(students[rows]),
            "source": chosen["source"],
            "date": chosen["date"],
        }
    )
    return records, counts


def _parts(counts: dict[str, int], design: str) -> list[tuple[str, int]]:
    """The pools and their sizes; in a factorial design both halves of those that are evaluated."""
    parts = []
    for pool, count in counts.items():
        halved = design == "factorial" and pool in EVALUATION_POOLS
        sizes = (count // 2, count - count // 2) if halved else (count,)
        parts += [(pool, size) for size in sizes]
    return parts


def _draw_by_label(
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
        "member": [pool for pool in counts if pool in TRAINING_POOLS],
        "nonmember": [pool for pool in counts if pool not in TRAINING_POOLS],
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
