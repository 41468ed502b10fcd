"""Find the vulnerable members: those that the attack on the teacher calls members.

The threshold is calibrated on the hold-out pool; no record of the evaluation is used that neither
the teacher nor a student trains on.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence

import pyarrow as pa

from distilleak.files import write_table
from distilleak.metrics.thresholds import at_fpr
from distilleak.records import window
from distilleak.records.pools import EVIDENCE_POOLS
from distilleak.records.table import Records, extent, iterate_records
from distilleak.scoring import attacking
from distilleak.stages import base

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    extent(arguments.records, EVIDENCE_POOLS)  # refuses a file without one of them
    entry = arguments.attack
    reader = attacking.Reader(arguments.evidence, arguments.references, [entry])
    attacks = {entry["attack"]: entry}
    records, scored = attacking.score_records(attacks, reader, _used(arguments.records))
    scores = scored[entry["attack"]]
    held_out = records["pool"].to_numpy() == "holdout"
    threshold = at_fpr(scores[held_out], arguments.fpr)
    vulnerable = scores[~held_out] > threshold
    table = pa.table(
        {
            "record_id": records["record_id"].filter(~held_out),
            "teacher_member": records["teacher_member"].filter(~held_out),
            "score": scores[~held_out],
            "vulnerable": vulnerable,
        }
    )
    write_table(table, arguments.output, {"threshold": repr(float(threshold))})
    log.info(
        "%d of %d records are vulnerable at a false-positive rate of %g or less on %d hold-outs",
        vulnerable.sum(), len(vulnerable), arguments.fpr, held_out.sum(),
    )  # fmt: skip


def _used(path: str) -> Iterator[Records]:
    """Students may learn from non-members of the teacher; nobody else looks at those."""
    for records in iterate_records(path, EVIDENCE_POOLS, window.SIZE):
        trained = records.teacher_member | records.student_member
        used = records.where(trained | (records.pool == "holdout"))
        if used.record_id:
            yield used


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--evidence", required=True, help="evidence directory of the teacher")
    parser.add_argument(
        "--references", nargs="*", default=[], help="evidence directories of reference models"
    )
    parser.add_argument(
        "--attack",
        type=base.settings_argument(dict),
        required=True,
        help='JSON: {"attack": module, "parameters": {...}}',
    )
    parser.add_argument(
        "--fpr", type=float, required=True, help="false-positive rate of the threshold"
    )
    parser.add_argument("--output", required=True, help="vulnerable.parquet to write")
    return parser
