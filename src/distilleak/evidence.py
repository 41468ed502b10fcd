"""Evidence: what a model leaves of a text, per token, and all that an attack may see of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.files import open_parquet, read_table
from distilleak.ragged import Ragged

FLOAT_COLUMNS = ("logp", "mean_logp", "std_logp", "top_logp", "log1m_p")
INTEGER_COLUMNS = ("token_id", "rank")
SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.string()),
        pa.field("token_id", pa.list_(pa.int32())),
        pa.field("logp", pa.list_(pa.float32())),
        pa.field("mean_logp", pa.list_(pa.float32())),
        pa.field("std_logp", pa.list_(pa.float32())),
        pa.field("top_logp", pa.list_(pa.float32())),
        pa.field("rank", pa.list_(pa.int32())),
        pa.field("log1m_p", pa.list_(pa.float32())),
    ]
)
"""A row per record."""
MASKED_SCHEMA = SCHEMA.append(pa.field("pass", pa.int32())).append(
    pa.field("position", pa.list_(pa.int32()))
)
"""A row per record and pass of a masked model; `position` is the place in the record, from 0."""


@dataclass(frozen=True)
class View:
    """One model's evidence on one view of the records: a ragged column per statistic.

    All logarithms are natural. Rows follow `record_id`; tokens follow the text.
    """

    record_id: Sequence[str]
    token_id: Ragged  # the scored token
    logp: Ragged  # log p of the true token
    mean_logp: Ragged  # sum over the vocabulary of p log p: minus the entropy
    std_logp: Ragged  # sqrt(sum p (log p)^2 - mean_logp^2)
    top_logp: Ragged  # log p of the most likely token
    rank: Ragged  # how many tokens are more likely than the true one
    log1m_p: Ragged  # log(1 - p) of the true token


@dataclass(frozen=True)
class Evidence:
    """All that an attack on one model may use; records are in the same order throughout."""

    record_id: Sequence[str]
    texts: Sequence[str]  # exactly the text that was scored
    views: Mapping[str, View]  # of the target model: "plain", "lower", ...
    references: Sequence[View]  # the plain view of each reference model


def read_view(path: str | Path, record_ids: Sequence[str]) -> View:
    """Read an evidence file and put its rows in the order of `record_ids` (joined by id).

    The passes of a masked model are merged: tokens follow the text, whatever pass scored them.

    Raises:
        DistilleakError: the file is damaged, lacks a record or a position, or holds one twice.
    """
    masked = "position" in open_parquet(path).schema_arrow.names
    table = read_table(path, (MASKED_SCHEMA if masked else SCHEMA).names)
    record = pc.index_in(table["record_id"], value_set=pa.array(record_ids, pa.string()))
    wanted = record.is_valid()
    table, rows = table.filter(wanted), record.filter(wanted).to_numpy()
    per_record = np.bincount(rows, minlength=len(record_ids))
    _refuse(path, per_record == 0, record_ids, "no evidence on record {}")
    if not masked:
        _refuse(path, per_record > 1, record_ids, "two rows of record {}")
    columns = {name: _ragged(table[name], path) for name in (*FLOAT_COLUMNS, *INTEGER_COLUMNS)}
    of_row = columns["logp"]
    of_token = rows[of_row.rows]
    lengths = np.bincount(of_token, minlength=len(record_ids))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if masked:
        place = _ragged(table["position"], path).values.astype(np.int64)
        place = np.where((place >= 0) & (place < lengths[of_token]), place, 0)
    else:
        place = np.arange(len(of_token)) - of_row.offsets[of_row.rows]
    target = offsets[of_token] + place
    found_once = np.bincount(target, minlength=len(target)) == 1
    complete = np.bincount(of_token, found_once[target], len(record_ids)) == lengths
    _refuse(path, ~complete, record_ids, "record {}: a position is missing or scored twice")
    order = np.empty_like(target)
    order[target] = np.arange(len(target))
    return View(
        record_id=record_ids,
        **{name: Ragged(column.values[order], offsets) for name, column in columns.items()},
    )


def _refuse(
    path: str | Path, bad: NDArray[np.bool_], record_ids: Sequence[str], fault: str
) -> None:
    if bad.any():
        raise DistilleakError(f"{path}: {fault.format(repr(record_ids[int(bad.argmax())]))}")


def _ragged(column: pa.ChunkedArray, path: str | Path) -> Ragged:
    array = column.combine_chunks()
    offsets = array.offsets.to_numpy().astype(np.int64)
    if len(offsets) > 1 and np.diff(offsets).min() < 1:
        raise DistilleakError(f"{path}: a record without a scored token")
    values = array.values.to_numpy()[offsets[0] : offsets[-1]]
    return Ragged(values, offsets - offsets[0])
