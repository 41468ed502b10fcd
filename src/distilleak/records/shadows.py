"""Drawing the records of a shadow among those that are evaluated."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distilleak import seeding
from distilleak.records.evaluation import EVALUATION_POOLS


def draw_shadow(records: pa.Table, number: int, seed: int) -> pa.Table:
    """The records of shadow `number`: the study's with other members and students' members."""
    pool = records["pool"].to_numpy().astype(object)
    evaluated = np.isin(pool, EVALUATION_POOLS)
    teacher = records["teacher_member"].to_numpy().copy()
    student = records["student_member"].to_numpy().copy()
    # In the paired design students learn from the teacher's members, in the factorial one not.
    paired = np.array_equal(teacher, student)
    drawn, students = _draw(int(evaluated.sum()), number, seed)
    teacher[evaluated] = drawn
    student[evaluated] = drawn if paired else students
    pool[evaluated] = np.where(drawn, "member", "nonmember")
    for name, column in (("pool", pool), ("teacher_member", teacher), ("student_member", student)):
        records = records.set_column(records.column_names.index(name), name, pa.array(column))
    return records


def _draw(records: int, number: int, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the records shadow `number` has as members, and which are its students' in a
    factorial design: a half of its members and a half of the others; (records,) each.
    """
    rng = seeding.stream(seed, f"shadow {number // 2}")
    place = rng.permutation(records)
    member = place < records // 2
    # Within either half the places are in a random order.
    student = place % 2 == 0
    return (member, student) if number % 2 == 0 else (~member, ~student)
