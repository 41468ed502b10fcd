"""Drawing the records of a shadow among those that are evaluated."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distilleak import seeding
from distilleak.errors import DistilleakError
from distilleak.records.evaluation import EVALUATION_POOLS

Bools = NDArray[np.bool_]


def draw_shadow(records: pa.Table, number: int, seed: int, *, by_source: bool = False) -> pa.Table:
    """The records of shadow `number`: the study's with other members and students' members.

    Args:
        records: of the study.
        number: 0, 1, ...
        seed: of the study.
        by_source: whether the study draws whole documents, given by the records' `source`. The
            shadow then does so, too, and its halves differ by half a document at most.

    Raises:
        DistilleakError: there are too few documents.
    """
    pool = records["pool"].to_numpy().astype(object)
    evaluated = np.isin(pool, EVALUATION_POOLS)
    teacher = records["teacher_member"].to_numpy().copy()
    student = records["student_member"].to_numpy().copy()
    # In the paired design students learn from the teacher's members, in the factorial one not.
    paired = np.array_equal(teacher, student)
    if by_source:
        source = records["source"].to_numpy().astype(object)[evaluated]
        drawn, students = _draw_documents(source, number, seed, paired=paired)
    else:
        drawn, students = _draw(int(evaluated.sum()), number, seed)
    teacher[evaluated] = drawn
    student[evaluated] = drawn if paired else students
    pool[evaluated] = np.where(drawn, "member", "nonmember")
    for name, column in (("pool", pool), ("teacher_member", teacher), ("student_member", student)):
        records = records.set_column(records.column_names.index(name), name, pa.array(column))
    return records


def _draw(records: int, number: int, seed: int) -> tuple[Bools, Bools]:
    """Which of the records shadow `number` has as members, and which are its students' in a
    factorial design: a half of its members and a half of the others; (records,) each.
    """
    rng = seeding.stream(seed, f"shadow {number // 2}")
    place = rng.permutation(records)
    member = place < records // 2
    # Within either half the places are in a random order.
    student = place % 2 == 0
    return (member, student) if number % 2 == 0 else (~member, ~student)


def _draw_documents(
    source: NDArray[np.object_], number: int, seed: int, *, paired: bool
) -> tuple[Bools, Bools]:
    """As `_draw`, but records of one document, given by `source`, (records,), stay together."""
    names, document, sizes = np.unique(source, return_inverse=True, return_counts=True)
    least = 1 if paired else 2  # documents of either half, so that there is one of every group
    if len(names) < 2 * least:
        raise DistilleakError(
            f"pools.by: source, but the evaluated records are of {len(names)} documents; a shadow "
            f"needs at least {2 * least}"
        )
    order = seeding.stream(seed, f"shadow {number // 2}").permutation(len(names))
    first, second = np.split(order, [_middle(sizes[order], least)])
    member = student = np.isin(document, first)
    if not paired:
        halves = [half[: _middle(sizes[half], 1)] for half in (first, second)]
        student = np.isin(document, np.concatenate(halves))
    return (member, student) if number % 2 == 0 else (~member, ~student)


def _middle(sizes: NDArray[np.int64], least: int) -> int:
    """How many documents come before the boundary that is nearest to half of their records, with
    `least` documents or more on either side.
    """
    before = np.cumsum(sizes)[least - 1 : len(sizes) - least]
    return least + int(np.argmin(np.abs(2 * before - sizes.sum())))
