"""Load the corpus and remove copies: passages.parquet, passage_id, source, date, text, label.

Copies of each other, and of the public texts from which the study keeps its records apart.
"""

import argparse
import logging
from collections.abc import Sequence

import pyarrow as pa
from tqdm import tqdm

from distilleak import catalogue
from distilleak.corpora._choosing import chosen
from distilleak.corpora.base import MEMBER
from distilleak.errors import DistilleakError
from distilleak.files import write_table
from distilleak.records.deduplication import distinct_first
from distilleak.records.texts import read_texts
from distilleak.settings.conditions import ConditionSettings
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
    width, source = len(str(len(passages))), arguments.corpus["source"]
    # The number of a passage is its place in the whole corpus, whatever the conditions are.
    numbers = chosen(passages, arguments.only)
    passages = [passages[row] for row in numbers]
    public = [text for file in arguments.apart for text in read_texts(file)]
    # What is in the training data is no non-member, in whichever order the corpus gives the two,
    # and what a public model has learned from is private to nobody.
    first = [True] * len(public) + [passage.label == MEMBER for passage in passages]
    texts = public + [passage.text for passage in passages]
    found = distinct_first(texts, first, arguments.deduplication)
    kept = [row - len(public) for row in found if row >= len(public)]
    log.info("%d passages after removing %d copies", len(kept), len(passages) - len(kept))
    if not kept:
        raise DistilleakError("corpus: all of its passages are copies of the texts of the bases")
    table = pa.table(
        {
            "passage_id": [f"{source}-{numbers[row]:0{width}d}" for row in kept],
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
    parser.add_argument(
        "--only",
        type=base.settings_argument(ConditionSettings),
        default=ConditionSettings(),
        help="JSON: conditions on the passages (default: all)",
    )
    parser.add_argument(
        "--apart",
        nargs="*",
        default=[],
        metavar="FILE",
        help="passages.parquet of public texts; copies of them are removed, exact and near ones",
    )
    parser.add_argument("--output", required=True, help="passages.parquet to write")
    return parser
