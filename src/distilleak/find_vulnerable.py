"""Find the vulnerable members: those that the attack on the teacher calls members.

The threshold is calibrated on the hold-out pool; no record of the evaluation is used that neither
the teacher nor a student trains on.
"""

import argparse
import logging
from collections.abc import Sequence

import pyarrow as pa

from distilleak import attacking, stage
from distilleak.files import write_table
from distilleak.metrics.thresholds import at_fpr
from distilleak.records import EVALUATED, read_records

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    records = read_records(arguments.records, EVALUATED)
    # Students may learn from non-members of the teacher; nobody else looks at those.
    trained = records.teacher_member | records.student_member
    records = records.where(trained | (records.pool == "holdout"))
    entry = arguments.attack
    evidence = attacking.read_evidence(arguments.evidence, arguments.references, records, [entry])
    scores = attacking.score(entry["attack"], entry, evidence)
    held_out = records.pool == "holdout"
    threshold = at_fpr(scores[held_out], arguments.fpr)
    vulnerable = scores[~held_out] > threshold
    table = pa.table(
        {
            "record_id": records.where(~held_out).record_id,
            "teacher_member": records.teacher_member[~held_out],
            "score": scores[~held_out],
            "vulnerable": vulnerable,
        }
    )
    write_table(table, arguments.output, {"threshold": repr(float(threshold))})
    log.info(
        "%d of %d records are vulnerable at a false-positive rate of %g or less on %d hold-outs",
        vulnerable.sum(), len(vulnerable), arguments.fpr, held_out.sum(),
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--evidence", required=True, help="evidence directory of the teacher")
    parser.add_argument(
        "--references", nargs="*", default=[], help="evidence directories of reference models"
    )
    parser.add_argument(
        "--attack",
        type=stage.settings_argument(dict),
        required=True,
        help='JSON: {"attack": module, "parameters": {...}}',
    )
    parser.add_argument(
        "--fpr", type=float, required=True, help="false-positive rate of the threshold"
    )
    parser.add_argument("--output", required=True, help="vulnerable.parquet to write")
    return parser
