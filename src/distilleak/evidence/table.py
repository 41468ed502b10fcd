"""Evidence: what a model says about each token of a text, and all that an attack may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.files import open_parquet, read_range, read_table
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
COPY_SCHEMA = pa.schema([pa.field("copy", pa.int32())])
"""What a view adds that holds several texts per record: 0, 1, ..., the same for every record."""
PASS_SCHEMA = pa.schema([pa.field("pass", pa.int32()), pa.field("position", pa.list_(pa.int32()))])
"""What a masked model adds: a row per record and pass; `position` is the place in the record."""


def schema(*, masked: bool, copies: bool) -> pa.Schema:
    """The columns of an evidence file."""
    added = [*([COPY_SCHEMA] if copies else []), *([PASS_SCHEMA] if masked else [])]
    return pa.unify_schemas([SCHEMA, *added])


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
class Shadow:
    """A model that trained on about half of the records, and which."""

    view: View  # plain
    member: NDArray[np.bool_]  # (records,), whether it trained on the record
    population: View | None = None


@dataclass(frozen=True)
class Evidence:
    """All that an attack on one model may use; records are in the same order throughout.

    The population are records of the auxiliary pool that no reference model trained on, in an
    order of their own.
    """

    record_id: Sequence[str]
    texts: Sequence[str]  # exactly the text that was scored
    views: Mapping[str, View]  # of the target model: "plain", "lower", ...
    references: Sequence[View]  # the plain view of each reference model
    neighbours: Sequence[View] = ()  # of the target, one view per perturbed copy of the records
    population: View | None = None  # plain, of the target on the population
    reference_population: Sequence[View] = ()  # plain, of each reference model on the population
    shadows: Sequence[Shadow] = ()
    base: View | None = None  # plain, of the public model that the target starts from
    teacher: View | None = None  # plain, of the target's teacher; else of the target itself
    teacher_population: View | None = None  # the same on the population
    unigram: NDArray[np.int64] | None = None  # (vocabulary,) counts in the auxiliary pool


def read_view(path: str | Path, record_ids: Sequence[str] | None = None) -> View:
    """Read an evidence file and put its rows in the order of `record_ids` (joined by id).

    Without `record_ids` the view holds every record, in the order of the file. Of a large file in
    the order of its records, only the row groups that may hold `record_ids` are read. The passes of
    a masked model are merged: tokens follow the text, whatever pass scored them.

    Raises:
        DistilleakError: the file is damaged, lacks a record or a position, or holds one twice.
    """
    return _view(_read(path, record_ids), path, record_ids)


def read_copies(path: str | Path, record_ids: Sequence[str]) -> list[View]:
    """Read an evidence file with several copies of each record: one view per copy.

    Raises:
        DistilleakError: as `read_view`; or a record lacks a copy that another one has.
    """
    table = _read(path, record_ids, copies=True)
    numbers = sorted(pc.unique(table["copy"]).to_pylist())
    return [
        _view(table.filter(pc.equal(table["copy"], number)), f"{path}: copy {number}", record_ids)
        for number in numbers
    ]


def _read(path: str | Path, record_ids: Sequence[str] | None, copies: bool = False) -> pa.Table:
    """The columns of a causal or masked model's file, and at least the rows of these records."""
    masked = "position" in open_parquet(path).schema_arrow.names
    columns = schema(masked=masked, copies=copies)
    if not record_ids:
        return read_table(path, columns)
    return read_range(path, columns, "record_id", min(record_ids), max(record_ids))


def _view(table: pa.Table, path: str | Path, record_ids: Sequence[str] | None) -> View:
    masked = "position" in table.column_names
    if record_ids is None:
        record_ids = pc.unique(table["record_id"]).to_pylist()
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
