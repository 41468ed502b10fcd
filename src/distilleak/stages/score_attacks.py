"""Score every configured attack on one model from its evidence: scores.parquet.

Evidence is read of some thousand records at a time, whatever their number.
"""

import argparse
from collections.abc import Sequence

from distilleak.records import window
from distilleak.records.evaluation import EVALUATION_POOLS
from distilleak.records.pools import EVIDENCE_POOLS
from distilleak.records.table import extent, iterate_records, read_training_set
from distilleak.scoring import attacking, needs
from distilleak.scoring.frequencies import count_tokens
from distilleak.scoring.scores import Scores, write_scores
from distilleak.stages import base


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    entries = list(arguments.attacks.values())
    # Half of the shadows trained on a member or non-member, none on a record of the hold-out.
    pools = EVALUATION_POOLS if needs.shadows_of(entries) else EVIDENCE_POOLS
    # Refuses a file without records to judge attacks on. An audit has no hold-out.
    extent(arguments.records, EVALUATION_POOLS)
    unigram = None
    if arguments.tokenizer is not None:
        unigram = count_tokens(arguments.records, arguments.tokenizer)
    reader = attacking.Reader(
        arguments.evidence,
        arguments.references,
        entries,
        shadows={
            directory: set(read_training_set(records, "teacher").record_id)
            for directory, records in arguments.shadow
        },
        base=arguments.base,
        teacher=arguments.teacher,
        unigram=unigram,
    )
    windows = iterate_records(arguments.records, pools, window.SIZE)
    labels, attacks = attacking.score_records(arguments.attacks, reader, windows)
    scores = Scores(
        record_id=labels["record_id"].to_numpy(),
        pool=labels["pool"].to_numpy(),
        teacher_member=labels["teacher_member"].to_numpy(),
        student_member=labels["student_member"].to_numpy(),
        attacks=attacks,
    )
    write_scores(scores, arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--evidence", required=True, help="evidence directory of the model")
    parser.add_argument(
        "--references", nargs="*", default=[], help="evidence directories of reference models"
    )
    parser.add_argument(
        "--base", help="evidence directory of the public model that this one starts from"
    )
    parser.add_argument(
        "--shadow",
        nargs=2,
        action="append",
        default=[],
        metavar=("EVIDENCE", "RECORDS"),
        help="evidence directory of a shadow model and its records.parquet; may be repeated",
    )
    parser.add_argument(
        "--teacher",
        help="evidence directory of the model that this one has learned from (default: it has "
        "learned from none)",
    )
    parser.add_argument(
        "--tokenizer", help="tokenizer directory, for attacks that need the tokens' frequencies"
    )
    parser.add_argument(
        "--attacks",
        type=base.settings_argument(dict),
        required=True,
        help='JSON: {name: {"attack": module, "parameters": {...}}}',
    )
    parser.add_argument("--output", required=True, help="scores.parquet to write")
    return parser
