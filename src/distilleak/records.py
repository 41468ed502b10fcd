"""The records table: every passage that takes part, its pool, its text as scored, its tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.files import read_table

POOLS = ("member", "nonmember", "holdout", "auxiliary")
EVALUATED = ("member", "nonmember", "holdout")
"""The pools on which evidence is computed: the evaluation, and the defender's hold-out."""


@dataclass(frozen=True)
class Records:
    """Records of some pools, in the order of their ids.

    Attributes:
        record_id: (records,).
        pool: (records,) one of `POOLS`.
        teacher_member: (records,) bool, whether the teacher trains on it.
        student_member: (records,) bool, whether students may train on it.
        text: (records,) exactly the text that is trained on and scored.
        tokens: (records,) arrays of token ids of `text`.
    """

    record_id: list[str]
    pool: NDArray[np.str_]
    teacher_member: NDArray[np.bool_]
    student_member: NDArray[np.bool_]
    text: list[str]
    tokens: list[NDArray[np.int32]]


def read_records(path: str | Path, pools: Sequence[str]) -> Records:
    """Read the records of `pools`.

    Raises:
        DistilleakError: the file is damaged, or one of the pools has no record in it.
    """
    columns = ["record_id", "pool", "teacher_member", "student_member", "text", "token_ids"]
    table = read_table(path, columns)
    present = set(pc.unique(table["pool"]).to_pylist())
    absent = [pool for pool in pools if pool not in present]
    if absent:
        raise DistilleakError(f"{path}: no record in pool {absent[0]!r}")
    table = table.filter(pc.is_in(table["pool"], pa.array(list(pools)))).sort_by("record_id")
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
