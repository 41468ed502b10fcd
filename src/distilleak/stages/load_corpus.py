"""Load the corpus and remove copies: passages.parquet, passage_id, source, date, text, label."""

import argparse
import logging
from collections.abc import Sequence

import pyarrow as pa
from tqdm import tqdm

from distilleak import catalogue
from distilleak.corpora.base import MEMBER
from distilleak.errors import DistilleakError
from distilleak.files import write_table
from distilleak.records.deduplication import distinct_first
from distilleak.settings.deduplication import DeduplicationSettings
from distilleak.stages import base

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    corpus = catalogue.load("corpora", arguments.corpus["source"])
    parameters = corpus.Parameters.model_validate(arguments.corpus["parameters"])
    passages = list(tqdm(corpus.passages(parameters), unit=" passages", disable=None))
    if not passages:
        raise DistilleakError(f"corpus: {arguments.corpus} gives no passage at all")
    log.info("%d passages", len(passages))
    # What is in the training data is no non-member, in whichever order the corpus gives the two.
    members = [passage.label == MEMBER for passage in passages]
    kept = distinct_first([passage.text for passage in passages], members, arguments.deduplication)
    log.info("%d passages after removing %d copies", len(kept), len(passages) - len(kept))
    width = len(str(len(passages)))
    table = pa.table(
        {
            "passage_id": [f"{arguments.corpus['source']}-{row:0{width}d}" for row in kept],
            "source": [passages[row].source for row in kept],
            "date": [passages[row].date for row in kept],
            "text": [passages[row].text for row in kept],
            "label": [passages[row].label for row in kept],
        }
    )
    write_table(table, arguments.output, {"copies_removed": str(len(passages) - len(kept))})


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument(
        "--corpus",
        type=base.settings_argument(dict),
        required=True,
        help='JSON: {"source": name, "parameters": {...}}',
    )
    parser.add_argument(
        "--deduplication",
        type=base.settings_argument(DeduplicationSettings),
        default=DeduplicationSettings(),
        help="JSON: deduplication settings",
    )
    parser.add_argument("--output", required=True, help="passages.parquet to write")
    return parser
