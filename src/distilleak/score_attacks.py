"""Score every configured attack on one model from its evidence: scores.parquet."""

import argparse
from collections.abc import Sequence

import numpy as np

from distilleak import attacking, stage
from distilleak.records import EVALUATED, read_records
from distilleak.scores import Scores, write_scores


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    records = read_records(arguments.records, EVALUATED)
    entries = list(arguments.attacks.values())
    evidence = attacking.read_evidence(arguments.evidence, arguments.references, records, entries)
    scores = Scores(
        record_id=np.array(records.record_id, dtype=object),
        pool=records.pool.astype(object),
        teacher_member=records.teacher_member,
        student_member=records.student_member,
        attacks={
            name: attacking.score(name, entry, evidence)
            for name, entry in arguments.attacks.items()
        },
    )
    write_scores(scores, arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = stage.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--evidence", required=True, help="evidence directory of the model")
    parser.add_argument(
        "--references", nargs="*", default=[], help="evidence directories of reference models"
    )
    parser.add_argument(
        "--attacks",
        type=stage.settings_argument(dict),
        required=True,
        help='JSON: {name: {"attack": module, "parameters": {...}}}',
    )
    parser.add_argument("--output", required=True, help="scores.parquet to write")
    return parser
