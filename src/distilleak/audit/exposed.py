"""The most exposed members of each model, by id: exposed.parquet. It is private, without texts."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from distilleak.audit.strength import Strength
from distilleak.scoring.scores import Scores

SCHEMA = pa.schema(
    {
        "record_id": pa.string(),
        "model": pa.string(),
        "rank": pa.int64(),
        "attack": pa.string(),
        "turned": pa.bool_(),
        "score": pa.float64(),
        "nonmembers_as_high": pa.float64(),
    }
)


def table(models: Iterable[tuple[str, Scores, Strength]], most: int) -> pa.Table:
    """A row for each of the `most` exposed members of each model, the most exposed first.

    They are those of the attack that finds most members where it accuses few others. `rank` counts
    the members that score higher, so that equal scores have equal ranks. A turned attack gives
    members the lower scores; then "higher" means lower. `nonmembers_as_high` is the share of the
    non-members that score as high or higher: how often the attack would accuse others if it accused
    this record.
    """
    return pa.concat_tables([_of_model(*model, most) for model in models])


def _of_model(name: str, scores: Scores, strength: Strength, most: int) -> pa.Table:
    found = scores.attacks[strength.caller]
    order = -found if not strength.caller_turned else found  # most exposed first
    members, others = scores.teacher_member, np.sort(order[~scores.teacher_member])
    listed = np.flatnonzero(members)
    listed = listed[np.argsort(order[listed], kind="stable")][:most]
    above = np.searchsorted(np.sort(order[members]), order[listed], "left")
    rows: Sequence[object] = [
        scores.record_id[listed],
        [name] * len(listed),
        above + 1,
        [strength.caller] * len(listed),
        [strength.caller_turned] * len(listed),
        found[listed],
        np.searchsorted(others, order[listed], "right") / len(others),
    ]
    columns = [pa.array(row, field.type) for row, field in zip(rows, SCHEMA, strict=True)]
    return pa.table(columns, schema=SCHEMA)
