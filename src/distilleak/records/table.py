"""The table of records: each passage that is used, its pool, its text as scored, its tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.files import read_table
from distilleak.records import window
from distilleak.records.streaming import stream

_COLUMNS = pa.schema(
    {
        "record_id": pa.string(),
        "pool": pa.string(),
        "teacher_member": pa.bool_(),
        "student_member": pa.bool_(),
        "text": pa.string(),
        "token_ids": pa.list_(pa.int32()),
    }
)


@dataclass(frozen=True)
class Records:
    """Records of some pools, in the order of their ids.

    Attributes:
        record_id: (records,).
        pool: (records,) one of `POOLS`.
        teacher_member: (records,) bool, whether the teacher trains on it.
        student_member: (records,) bool, whether it is in the students' distillation set.
        text: (records,) exactly the text that is trained on and scored.
        tokens: (records,) arrays of token ids of `text`.
    """

    record_id: list[str]
    pool: NDArray[np.str_]
    teacher_member: NDArray[np.bool_]
    student_member: NDArray[np.bool_]
    text: list[str]
    tokens: list[NDArray[np.int32]]

    def labels(self) -> pa.Table:
        """All but the texts and their tokens, a row per record."""
        return pa.table(
            {
                "record_id": pa.array(self.record_id),
                "pool": pa.array(self.pool),
                "teacher_member": self.teacher_member,
                "student_member": self.student_member,
            }
        )

    def where(self, kept: NDArray[np.bool_]) -> "Records":
        """The records at which `kept`, (records,), is true."""
        rows = np.flatnonzero(kept)
        return Records(
            [self.record_id[row] for row in rows],
            self.pool[rows],
            self.teacher_member[rows],
            self.student_member[rows],
            [self.text[row] for row in rows],
            [self.tokens[row] for row in rows],
        )


def read_records(path: str | Path, pools: Sequence[str]) -> Records:
    """Read the records of `pools`.

    Raises:
        DistilleakError: the file is damaged, or one of the pools has no record in it.
    """
    table = read_table(path, _COLUMNS)
    _refuse_absent(path, pools, set(pc.unique(table["pool"]).to_pylist()))
    return _records(_of_pools(table, pools).sort_by("record_id"))


def read_training_set(path: str | Path, model: Literal["teacher", "student"]) -> Records:
    """Read the records that the teacher trains on, or those of the students' distillation set.

    Raises:
        DistilleakError: the file is damaged, or there is no such record.
    """
    table = read_table(path, _COLUMNS)
    table = table.filter(table[f"{model}_member"])
    if not len(table):
        raise DistilleakError(f"{path}: no record with {model}_member")
    return _records(table.sort_by("record_id"))


def iterate_records(path: str | Path, pools: Sequence[str], size: int) -> Iterator[Records]:
    """The records of `pools`, `size` at a time; no more than that is held in memory.

    Raises:
        DistilleakError: the file is damaged or not in the order of its record ids.
    """
    held = pa.table({})
    last = ""
    for table in stream(path, _COLUMNS, window.SIZE):
        ids = pa.concat_arrays([pa.array([last]), *table["record_id"].chunks]).to_numpy(False)
        falls = ids[1:] <= ids[:-1]
        if falls.any():
            raise DistilleakError(
                f"{path}: record {ids[1 + int(falls.argmax())]!r} comes after a later one; "
                "records must be sorted by record_id, each once"
            )
        last = ids[-1]
        chosen = _of_pools(table, pools)
        held = pa.concat_tables([held, chosen]) if len(held) else chosen
        while len(held) >= size:
            yield _records(held.slice(0, size))
            held = held.slice(size)
    if len(held):
        yield _records(held)


def extent(path: str | Path, pools: Sequence[str], optional: Sequence[str] = ()) -> tuple[int, int]:
    """(number of records in `pools`, tokens of the longest one).

    Raises:
        DistilleakError: the file is damaged, or one of the pools has no record in it and is not
            `optional`.
    """
    count = longest = 0
    present: set[str] = set()
    columns = pa.schema([_COLUMNS.field(name) for name in ("pool", "token_ids")])
    for table in stream(path, columns, window.SIZE):
        chosen = _of_pools(table, pools)
        present.update(pc.unique(chosen["pool"]).to_pylist())
        count += len(chosen)
        longest = max(longest, pc.max(pc.list_value_length(chosen["token_ids"])).as_py() or 0)
    _refuse_absent(path, [pool for pool in pools if pool not in optional], present)
    return count, longest


def _of_pools(table: pa.Table, pools: Sequence[str]) -> pa.Table:
    return table.filter(pc.is_in(table["pool"], pa.array(list(pools))))


def _refuse_absent(path: str | Path, pools: Sequence[str], present: set[str]) -> None:
    absent = [pool for pool in pools if pool not in present]
    if absent:
        raise DistilleakError(f"{path}: no record in pool {absent[0]!r}")


def _records(table: pa.Table) -> Records:
    ids = table["token_ids"].combine_chunks()
    ends = np.cumsum(pc.list_value_length(ids).to_numpy())
    return Records(
        record_id=table["record_id"].to_pylist(),
        pool=np.array(table["pool"].to_pylist()),
        teacher_member=table["teacher_member"].to_numpy(),
        student_member=table["student_member"].to_numpy(),
        text=table["text"].to_pylist(),
        tokens=np.split(ids.flatten().to_numpy(), ends[:-1]),
    )
