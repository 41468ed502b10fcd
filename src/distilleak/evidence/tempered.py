"""What a model says of held-out text at several temperatures, so that one can be fitted later."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.evidence.table import PASS_SCHEMA
from distilleak.files import open_parquet, read_range

SCALES = tuple(2.0 ** (step / 3) for step in range(-9, 4))
"""Inverse temperatures by which logits are multiplied, from 1/8 to 2: models are too sure of
themselves more often than they are not sure enough."""
COLUMNS = tuple(f"logp_{number}" for number in range(len(SCALES)))
"""Log p of the true token at each of `SCALES`, natural logarithm."""
SCHEMA = pa.schema(
    [("record_id", pa.string()), *((name, pa.list_(pa.float32())) for name in COLUMNS)]
)


def schema(*, masked: bool) -> pa.Schema:
    """The columns of a file of this view: a row per record, of a masked model per pass."""
    return pa.unify_schemas([SCHEMA, PASS_SCHEMA]) if masked else SCHEMA


def read(
    path: str | Path, record_ids: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(records, scales) sums of log p over the tokens of each record, and (records,) its tokens.

    Args:
        path: a file of this view.
        record_ids: sorted; in their order the sums are returned.

    Raises:
        DistilleakError: the file is damaged, or lacks a record.
    """
    masked = "position" in open_parquet(path).schema_arrow.names
    table = read_range(path, schema(masked=masked), "record_id", record_ids[0], record_ids[-1])
    place = pc.index_in(table["record_id"], value_set=pa.array(record_ids, pa.string()))
    table, rows = table.filter(place.is_valid()), place.drop_null().to_numpy()
    found = np.bincount(rows, minlength=len(record_ids))
    missing = np.flatnonzero(found == 0 if masked else found != 1)
    if len(missing):
        times = "no row" if found[missing[0]] == 0 else "two rows"
        raise DistilleakError(f"{path}: {times} of record {record_ids[missing[0]]!r}")
    record = np.repeat(rows, pc.list_value_length(table[COLUMNS[0]]).to_numpy())
    columns = [table[name].combine_chunks().flatten().to_numpy() for name in COLUMNS]
    sums = [np.bincount(record, values, len(record_ids)) for values in columns]
    return np.stack(sums, axis=1), np.bincount(record, minlength=len(record_ids))
