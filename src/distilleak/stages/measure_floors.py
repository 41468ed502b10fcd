"""Measure count models of the same records: the floors of utility, and what they leak.

A language model that predicts worse than a table of pairs of words is of no use, and how much it
leaks is of no interest. The models count the public text of the models' bases, or without bases the
auxiliary pool, which the attacker has; and that text and the members together; no other record.
"""

import argparse
import logging
from collections.abc import Sequence

from distilleak.files import write_table
from distilleak.records import tokenizer
from distilleak.records.evaluation import EVALUATION_POOLS
from distilleak.records.public import encode_all
from distilleak.records.table import read_records, read_training_set
from distilleak.records.texts import read_texts
from distilleak.scoring.counting import Counted, as_table, floors
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.stages import base

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    words = tokenizer.load(arguments.tokenizer)
    texts = [text for file in arguments.public for text in read_texts(file)]
    counted = Counted(
        public=encode_all(words, texts)
        if texts
        else read_records(arguments.records, ["auxiliary"]).tokens,
        members=read_training_set(arguments.records, "teacher").tokens,
        holdout=read_records(arguments.records, ["holdout"]).tokens,
        evaluated=read_records(arguments.records, EVALUATION_POOLS),
        vocabulary=tokenizer.rows(words),
    )
    table = as_table(floors(counted, arguments.evaluation, arguments.seed))
    for row in table.select(["floor", "metric", "value"]).to_pylist():
        if row["metric"] == "heldout_loss":
            log.info("%s: held-out loss %.3f nats per token", row["floor"], row["value"])
    write_table(table, arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument(
        "--public",
        nargs="*",
        default=[],
        metavar="FILE",
        help="passages.parquet of the bases (default: the auxiliary pool is the public text)",
    )
    parser.add_argument("--tokenizer", required=True, help="tokenizer directory")
    parser.add_argument(
        "--evaluation",
        type=base.settings_argument(EvaluationSettings),
        required=True,
        help="JSON: folds, replicates",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of folds and resampling")
    parser.add_argument("--output", required=True, help="floors.parquet to write")
    return parser
