"""Load the texts of an audit: passages.parquet and split.parquet, every text in its pool.

A text that stands on two sides ends the job; copies on one side, and near copies, are left out.
"""

import argparse
import logging
from collections.abc import Sequence

from distilleak.audit import texts
from distilleak.audit.configuration import AuditTexts
from distilleak.files import write_table
from distilleak.settings.deduplication import DeduplicationSettings
from distilleak.stages import base

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    found = texts.read(arguments.texts)
    passages, split, removed = texts.distinct(found, arguments.deduplication)
    for side, count in removed.items():
        log.info("%d %s, without %d copies", len(found[side]) - count, side, count)
    write_table(passages, arguments.passages, {"copies_removed": str(sum(removed.values()))})
    write_table(split, arguments.split)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument(
        "--texts",
        type=base.settings_argument(AuditTexts),
        required=True,
        help="JSON: members, nonmembers and auxiliary of the section `audit`",
    )
    parser.add_argument(
        "--deduplication",
        type=base.settings_argument(DeduplicationSettings),
        default=DeduplicationSettings(),
        help="JSON: deduplication settings",
    )
    parser.add_argument("--passages", required=True, help="passages.parquet to write")
    parser.add_argument("--split", required=True, help="split.parquet to write")
    return parser
