"""Draw the records of a shadow: an independent choice of what a teacher and its students train on.

A shadow repeats the whole pipeline, teacher and students, on a random half of the evaluated
records, so that a student is attacked by shadows that are students of the same method. Shadows 2i
and 2i + 1 are complements: every record is a member of exactly half of the shadows (Carlini et al.
2022, section V).
"""

import argparse
import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from distilleak.files import read_table, write_table
from distilleak.records.drawing import EVALUATION_POOLS, draw
from distilleak.stages import base

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    table = read_table(arguments.records)
    pool = table["pool"].to_numpy().astype(object)
    evaluated = np.isin(pool, EVALUATION_POOLS)
    teacher = table["teacher_member"].to_numpy().copy()
    student = table["student_member"].to_numpy().copy()
    # In the paired design students learn from the teacher's members, in the factorial one not.
    paired = np.array_equal(teacher, student)
    drawn, students = draw(int(evaluated.sum()), arguments.number, arguments.seed)
    teacher[evaluated] = drawn
    student[evaluated] = drawn if paired else students
    pool[evaluated] = np.where(drawn, "member", "nonmember")
    for name, column in (("pool", pool), ("teacher_member", teacher), ("student_member", student)):
        table = table.set_column(table.column_names.index(name), name, pa.array(column))
    write_table(table, arguments.output)
    log.info("%d of %d evaluated records are members", drawn.sum(), len(drawn))


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet of the study")
    parser.add_argument("--number", type=int, required=True, help="which shadow: 0, 1, ...")
    parser.add_argument("--seed", type=int, required=True, help="seed of the study")
    parser.add_argument("--output", required=True, help="records.parquet of the shadow, to write")
    return parser
