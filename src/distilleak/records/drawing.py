"""Drawing records into pools, and the pools that a draw decides about."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilleak import seeding
from distilleak.errors import DistilleakError
from distilleak.settings.pools import PoolSettings

EVALUATION_POOLS = ("member", "nonmember")
"""The pools on which attacks are judged."""

TRAINING_POOLS = ("member", "shown")
"""The pools that the teacher trains on."""


def draw(records: int, number: int, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the records shadow `number` has as members, and which are its students' in a
    factorial design: a half of its members and a half of the others; (records,) each.
    """
    rng = seeding.stream(seed, f"shadow {number // 2}")
    place = rng.permutation(records)
    member = place < records // 2
    # Within either half the places are in a random order.
    student = place % 2 == 0
    return (member, student) if number % 2 == 0 else (~member, ~student)


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
