"""Measure one model: privacy of every attack, utility, and the facts of its training.

Writes the estimates with their 95 % intervals (metrics.parquet) and the bootstrap replicates from
which the intervals come (bootstrap.parquet). Folds and resampling depend on the records and the
seed alone, so replicates of models of one seed are paired.
"""

import argparse
from collections.abc import Sequence

from distilleak.files import write_table
from distilleak.records.evaluation import EVALUATION_POOLS
from distilleak.scoring.measuring import (
    MAJORITY,
    Target,
    as_tables,
    heldout_utility,
    privacy,
    read_facts,
    read_seen,
)
from distilleak.scoring.scores import read_scores
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.stages import base


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if (arguments.evidence is None) != (arguments.records is None):
        parser.error("--evidence and --records belong together")
    settings: EvaluationSettings = arguments.evaluation
    scores = read_scores(arguments.scores).of(EVALUATION_POOLS)
    seen = None if arguments.selection is None else read_seen(arguments.selection, scores)
    estimates = [*privacy(scores, seen, settings, arguments.seed, majority=arguments.majority)]
    if arguments.evidence is not None:
        estimates += heldout_utility(
            arguments.evidence, arguments.records, settings, arguments.seed
        )
    counted = {} if arguments.facts is None else read_facts(arguments.facts)
    measured = Target(arguments.seed, arguments.pair, arguments.model)
    metrics, replicates = as_tables(measured, estimates, counted)
    write_table(metrics, arguments.metrics)
    write_table(replicates, arguments.bootstrap)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--scores", required=True, help="scores.parquet of the model")
    parser.add_argument("--evidence", help="evidence directory of the model: measures utility")
    parser.add_argument("--records", help="records.parquet, names the hold-out; with --evidence")
    parser.add_argument("--facts", help="facts.json of the model's training")
    parser.add_argument("--selection", help="selection.parquet of a student")
    parser.add_argument(
        "--majority",
        action="store_true",
        help=f"the scores are votes: above {MAJORITY} is a member, no threshold is fitted",
    )
    parser.add_argument(
        "--evaluation",
        type=base.settings_argument(EvaluationSettings),
        required=True,
        help="JSON: folds, replicates",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of folds and resampling")
    parser.add_argument("--pair", required=True, help="name of the pair")
    parser.add_argument("--model", required=True, help="name of the model")
    parser.add_argument("--metrics", required=True, help="metrics.parquet to write")
    parser.add_argument("--bootstrap", required=True, help="bootstrap.parquet to write")
    return parser
