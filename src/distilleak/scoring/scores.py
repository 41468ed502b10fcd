"""The scores of one model: for every record its pool, its membership, and one score per attack."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.files import check_columns, check_values, read_table, write_table

_KEYS = pa.schema(
    {
        "record_id": pa.string(),
        "pool": pa.string(),
        "teacher_member": pa.bool_(),
        "student_member": pa.bool_(),
    }
)


@dataclass(frozen=True)
class Scores:
    """Scores in the order of the record ids, so that folds and resampling agree between models.

    Attributes:
        record_id: (records,).
        pool: (records,) names of pools.
        teacher_member: (records,) bool; on the evaluation pools, the label that attacks guess.
        student_member: (records,) bool.
        attacks: name -> (records,) float64, higher = more likely a member.
    """

    record_id: NDArray[np.object_]
    pool: NDArray[np.object_]
    teacher_member: NDArray[np.bool_]
    student_member: NDArray[np.bool_]
    attacks: dict[str, NDArray[np.float64]]

    def of(self, pools: Sequence[str]) -> "Scores":
        """The records of `pools`, in the same order."""
        return self.where(np.isin(self.pool, pools))

    def where(self, kept: NDArray[np.bool_]) -> "Scores":
        """The records that are `kept`, (records,), in the same order."""
        return Scores(
            self.record_id[kept],
            self.pool[kept],
            self.teacher_member[kept],
            self.student_member[kept],
            {name: scores[kept] for name, scores in self.attacks.items()},
        )


def read_scores(path: str | Path) -> Scores:
    """Read a file of scores.

    Raises:
        DistilleakError: the file is damaged, lacks a column, names a record twice, holds no
            attack, or a score is not a finite number.
    """
    table = read_table(path)
    check_columns(table.schema, _KEYS, path)
    check_values(table, _KEYS, path)
    names = [name for name in table.column_names if name not in _KEYS.names]
    if not names:
        needed = ", ".join(_KEYS.names)
        raise DistilleakError(f"{path}: no attack; needed: {needed} and one per attack")
    record_id = table["record_id"].to_numpy()
    order = np.argsort(record_id, kind="stable")
    ordered = record_id[order]
    repeated = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(repeated):
        raise DistilleakError(f"{path}: record {ordered[repeated[0]]!r} occurs more than once")
    return Scores(
        ordered,
        table["pool"].to_numpy()[order],
        table["teacher_member"].to_numpy()[order],
        table["student_member"].to_numpy()[order],
        {name: _finite(table[name], name, path)[order] for name in names},
    )


def write_scores(scores: Scores, path: str | Path) -> None:
    """Write a file of scores, atomically."""
    columns = {key: pa.array(getattr(scores, key)) for key in _KEYS.names}
    write_table(pa.table(columns | scores.attacks), path)


def _finite(column: pa.ChunkedArray, name: str, path: str | Path) -> NDArray[np.float64]:
    if not pa.types.is_floating(column.type):
        raise DistilleakError(f"{path}: column {name!r} is {column.type}; scores are floats")
    scores: NDArray[np.float64] = column.to_numpy().astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise DistilleakError(
            f"{path}: attack {name!r} gives row {bad[0]} the score {scores[bad[0]]}; "
            "scores must be finite"
        )
    return scores
