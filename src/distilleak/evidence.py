"""Evidence: what a model leaves of a text, per token, and all that an attack may see of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from distilleak.errors import DistilleakError
from distilleak.files import read_table
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

    Raises:
        DistilleakError: the file is damaged, lacks a record, or holds an empty record.
    """
    table = read_table(path, SCHEMA.names)
    position = {record: row for row, record in enumerate(table["record_id"].to_pylist())}
    missing = next((record for record in record_ids if record not in position), None)
    if missing is not None:
        raise DistilleakError(f"{path}: no evidence on record {missing!r}")
    table = table.take(pa.array([position[record] for record in record_ids], pa.int64()))
    return View(
        record_id=record_ids,
        **{name: _ragged(table[name], path) for name in (*FLOAT_COLUMNS, *INTEGER_COLUMNS)},
    )


def _ragged(column: pa.ChunkedArray, path: str | Path) -> Ragged:
    array = column.combine_chunks()
    offsets = array.offsets.to_numpy().astype(np.int64)
    if len(offsets) > 1 and np.diff(offsets).min() < 1:
        raise DistilleakError(f"{path}: a record without a scored token")
    values = array.values.to_numpy()[offsets[0] : offsets[-1]]
    return Ragged(values, offsets - offsets[0])
