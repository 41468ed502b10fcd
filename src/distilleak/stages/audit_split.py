"""Close the blind gate when members can be told from non-members without any model."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distilleak.blind.gate import explain, judge
from distilleak.blind.kernels import DATE, Records
from distilleak.errors import DistilleakError
from distilleak.files import read_table, write_json
from distilleak.settings.gate import GateSettings
from distilleak.stages.base import parser, settings_argument

log = logging.getLogger(__name__)

COLUMNS = ("record_id", "pool", "source", "date", "text")


def main(argv: Sequence[str] | None = None) -> None:
    """Read the records, judge the split, write the verdict as JSON.

    Raises:
        DistilleakError: the records are unusable, or the gate is closed and `on_failure` is `stop`.
    """
    arguments = parser(__name__, __doc__)
    arguments.add_argument("--records", required=True, help="Parquet file of the records")
    arguments.add_argument(
        "--settings", type=settings_argument(GateSettings), required=True, help="GateSettings, JSON"
    )
    arguments.add_argument("--seed", type=int, required=True, help="of folds and permutations")
    arguments.add_argument("--output", required=True, help="JSON file of the verdict")
    options = arguments.parse_args(argv)

    verdict = judge(read_records(options.records), options.settings, options.seed)
    log.info("blind AUC %.3f (%s), p = %.2g", verdict.auc, verdict.classifier, verdict.p_value)
    if not verdict.passed:
        if options.settings.on_failure == "stop":
            raise DistilleakError(f"{options.records}: {explain(verdict)}")
        log.warning("%s: %s", options.records, explain(verdict))
    written = asdict(verdict)
    if verdict.passed:
        # Records are private: their words are told only where they explain a refusal.
        for side in written["separates"].values():
            side["words"] = []
    write_json(written, options.output)


def read_records(path: str | Path) -> Records:
    """Read the records of the pools `member` and `nonmember`, sorted by id.

    Raises:
        DistilleakError: the file is damaged or lacks a column, a value is null, a date is not one,
            or a pool is empty.
    """
    table = read_table(path, COLUMNS)
    for name in COLUMNS:
        if not (pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type)):
            raise DistilleakError(f"{path}: column {name!r} holds {table[name].type}, not strings")
        _refuse(table, pc.is_null(table[name]), path, f"column {name!r} is null")
    for pool in ("member", "nonmember"):
        if not pc.any(pc.equal(table["pool"], pool)).as_py():
            raise DistilleakError(f"{path}: no record in pool {pool!r}")
    table = table.filter(pc.is_in(table["pool"], pa.array(["member", "nonmember"])))
    table = table.sort_by("record_id")
    wrong_date = pc.invert(pc.match_substring_regex(table["date"], DATE))
    _refuse(table, wrong_date, path, "the date is not YYYY-MM-DD, YYYY or empty")
    return Records(
        texts=table["text"].to_pylist(),
        sources=table["source"].to_pylist(),
        dates=table["date"].to_pylist(),
        member=np.array(table["pool"].to_pylist()) == "member",
    )


def _refuse(table: pa.Table, bad: pa.ChunkedArray, path: str | Path, reason: str) -> None:
    rows = np.flatnonzero(bad.to_numpy())
    if len(rows):
        raise DistilleakError(f"{path}: record {table['record_id'][rows[0]].as_py()!r}: {reason}")
