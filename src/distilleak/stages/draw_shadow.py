"""Draw the records of a shadow: an independent choice of what a teacher and its students train on.

A shadow repeats the whole pipeline, teacher and students, on a random half of the evaluated
records, so that a student is attacked by shadows that are students of the same method. Shadows 2i
and 2i + 1 are complements: every record is a member of exactly half of the shadows (Carlini et al.
2022, section V).
"""

import argparse
import logging
from collections.abc import Sequence

import pyarrow as pa

from distilleak.files import check_columns, check_values, read_table, write_table
from distilleak.records import shadows
from distilleak.stages import base

log = logging.getLogger(__name__)

COLUMNS = pa.schema(
    {"pool": pa.string(), "teacher_member": pa.bool_(), "student_member": pa.bool_()}
)
"""What a shadow changes; the other columns of the records stay as they are."""

SOURCE = pa.field("source", pa.string())
"""The document of a record, which decides where whole documents are drawn."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    whole = read_table(arguments.records)
    columns = COLUMNS.append(SOURCE) if arguments.by_source else COLUMNS
    check_columns(whole.schema, columns, arguments.records)
    check_values(whole, columns, arguments.records)
    records = shadows.draw_shadow(
        whole, arguments.number, arguments.seed, by_source=arguments.by_source
    )
    write_table(records, arguments.output)
    pools = records["pool"].to_pylist()
    log.info("%d members, %d non-members", pools.count("member"), pools.count("nonmember"))


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet of the study")
    parser.add_argument("--number", type=int, required=True, help="which shadow: 0, 1, ...")
    parser.add_argument("--seed", type=int, required=True, help="seed of the study")
    parser.add_argument(
        "--by-source", action="store_true", help="draw whole documents, as the study does"
    )
    parser.add_argument("--output", required=True, help="records.parquet of the shadow, to write")
    return parser
