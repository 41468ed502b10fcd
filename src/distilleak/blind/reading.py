"""Reading what the blind classifiers may see of the records."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distilleak.blind.kernels import DATE, BlindRecords
from distilleak.errors import DistilleakError
from distilleak.files import read_table

COLUMNS = pa.schema({name: pa.string() for name in ("record_id", "pool", "source", "date", "text")})


def read_records(path: str | Path) -> BlindRecords:
    """Read the records of the pools `member` and `nonmember`, sorted by id.

    Raises:
        DistilleakError: the file is damaged or lacks a column, a value is null, a date is not one,
            or a pool is empty.
    """
    table = read_table(path, COLUMNS)
    for pool in ("member", "nonmember"):
        if not pc.any(pc.equal(table["pool"], pool)).as_py():
            raise DistilleakError(f"{path}: no record in pool {pool!r}")
    table = table.filter(pc.is_in(table["pool"], pa.array(["member", "nonmember"])))
    table = table.sort_by("record_id")
    wrong_date = pc.invert(pc.match_substring_regex(table["date"], DATE))
    _refuse(table, wrong_date, path, "the date is not YYYY-MM-DD, YYYY or empty")
    return BlindRecords(
        texts=table["text"].to_pylist(),
        sources=table["source"].to_pylist(),
        dates=table["date"].to_pylist(),
        member=np.array(table["pool"].to_pylist()) == "member",
    )


def _refuse(table: pa.Table, bad: pa.ChunkedArray, path: str | Path, reason: str) -> None:
    rows = np.flatnonzero(bad.to_numpy())
    if len(rows):
        raise DistilleakError(f"{path}: record {table['record_id'][rows[0]].as_py()!r}: {reason}")
