"""Find the vulnerable members: those that the attack on the teacher calls members.

The threshold is calibrated on the hold-out pool; no record of the evaluation is used that neither
the teacher nor a student trains on.
"""

import argparse
import logging
from collections.abc import Sequence

import pyarrow.compute as pc

from distilleak.files import write_table
from distilleak.records import window
from distilleak.records.pools import EVIDENCE_POOLS
from distilleak.records.table import extent, iterate_records
from distilleak.scoring import vulnerability
from distilleak.scoring.attacking import Reader
from distilleak.stages import base

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    extent(arguments.records, EVIDENCE_POOLS)  # refuses a file without one of them
    reader = Reader(
        arguments.evidence, arguments.references, [arguments.attack], base=arguments.base
    )
    windows = iterate_records(arguments.records, EVIDENCE_POOLS, window.SIZE)
    table, threshold = vulnerability.find_vulnerable(
        arguments.attack, reader, windows, arguments.fpr
    )
    write_table(table, arguments.output, {"threshold": repr(threshold)})
    log.info(
        "%d of %d records are vulnerable at a false-positive rate of %g or less",
        pc.sum(table["vulnerable"]).as_py(),
        len(table),
        arguments.fpr,
    )


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument("--evidence", required=True, help="evidence directory of the teacher")
    parser.add_argument(
        "--references", nargs="*", default=[], help="evidence directories of reference models"
    )
    parser.add_argument(
        "--base", help="evidence directory of the public model that this one starts from"
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
