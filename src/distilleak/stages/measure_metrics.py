"""Measure one model: privacy of every attack, utility, and what its training says of itself.

Writes the estimates with their 95 % intervals (metrics.parquet) and the bootstrap replicates from
which the intervals come (bootstrap.parquet). Folds and resampling depend on the records and the
seed alone, so replicates of models of one seed are paired.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.evidence.table import read_view
from distilleak.files import read_json, read_table, write_table
from distilleak.metrics.bootstrap import interval, stratified, weights
from distilleak.metrics.factorial import effects, groups
from distilleak.metrics.measure import Measurement, measure, measure_exactly, measure_seen
from distilleak.metrics.thresholds import folds
from distilleak.metrics.utility import utility
from distilleak.records import window
from distilleak.records.drawing import EVALUATION_POOLS
from distilleak.scoring.scores import Scores, read_scores
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.stages import base

FACTS = (
    "parameters",
    "training_records",
    "training_tokens",
    "vulnerable_token_share",
    "dp_epsilon",
)
"""What facts.json says that becomes a metric; counted, not estimated."""

MAJORITY = 0.5
"""A vote above it is a majority for membership (`score_vote`)."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if (arguments.evidence is None) != (arguments.records is None):
        parser.error("--evidence and --records belong together")
    settings: EvaluationSettings = arguments.evaluation
    estimates = list(_privacy(arguments, settings))
    if arguments.evidence is not None:
        estimates += [("", found) for found in _utility(arguments, settings.replicates)]
    counted = {} if arguments.facts is None else _facts(arguments.facts)
    _write(arguments, estimates, counted)


def _privacy(
    arguments: argparse.Namespace, settings: EvaluationSettings
) -> Iterator[tuple[str, Measurement]]:
    scores = read_scores(arguments.scores).of(EVALUATION_POOLS)
    labels = scores.teacher_member
    fold = folds(labels, settings.folds, arguments.seed)
    drawn = weights(labels, settings.replicates, arguments.seed)
    seen = None if arguments.selection is None else _seen(arguments.selection, scores)
    grouped = None
    if not np.array_equal(labels, scores.student_member):
        # A factorial split: the four groups keep their sizes in every replicate.
        group = groups(labels, scores.student_member)
        grouped = stratified(group, settings.replicates, arguments.seed)
    for attack, values in scores.attacks.items():
        fixed = MAJORITY if arguments.majority else None
        for found in measure(values, labels, fold, drawn, fixed):
            yield attack, found
        for found in measure_exactly(
            values, labels, settings.delta, settings.guess_share, arguments.seed
        ):
            yield attack, found
        if grouped is not None:
            for found in effects(values, labels, scores.student_member, grouped):
                yield attack, found
        if seen is not None and not seen[labels].all():
            for found in measure_seen(values, labels, seen, fold, drawn):
                yield attack, found


def _seen(path: str, scores: Scores) -> NDArray[np.bool_]:
    """Whether the student trained on each record; (records,), False on non-members."""
    table = read_table(path, ["record_id", "seen"])
    selected = dict(zip(table["record_id"].to_pylist(), table["seen"].to_pylist(), strict=True))
    lacking = [r for r in scores.record_id[scores.student_member] if r not in selected]
    if lacking:
        raise DistilleakError(f"{path}: does not say whether member {lacking[0]!r} was seen")
    return np.array([selected.get(record, False) for record in scores.record_id])


def _utility(arguments: argparse.Namespace, replicates: int) -> list[Measurement]:
    records = read_table(arguments.records, ["record_id", "pool"])
    holdout = records.filter(pc.equal(records["pool"], "holdout"))["record_id"].to_pylist()
    if not holdout:
        raise DistilleakError(f"{arguments.records}: no record in pool 'holdout'")
    drawn = weights(np.zeros(len(holdout), np.bool_), replicates, arguments.seed)
    holdout.sort()
    logp, tokens, correct = [], [], []
    for start in range(0, len(holdout), window.SIZE):
        chosen = holdout[start : start + window.SIZE]
        view = read_view(Path(arguments.evidence) / "plain.parquet", chosen)
        logp.append(view.logp.sum())
        tokens.append(view.logp.lengths)
        first = (view.rank.values == 0).astype(np.int64)
        correct.append(np.add.reduceat(first, view.rank.offsets[:-1]))
    return utility(np.concatenate(logp), np.concatenate(tokens), np.concatenate(correct), drawn)


def _facts(path: str) -> dict[str, float]:
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise DistilleakError(f"{path}: holds {type(facts).__name__}; facts are an object")
    found = {name: facts[name] for name in FACTS if name in facts}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DistilleakError(f"{path}: {name} is {value!r}; it must be a number")
    return found


def _write(
    arguments: argparse.Namespace,
    estimates: Sequence[tuple[str, Measurement]],
    counted: dict[str, float],
) -> None:
    # Intervals come from the replicates as they are stored, so that tables can repeat them.
    drawn = [each for each in estimates if each[1].exact is None]
    stored = [found.replicates.astype(np.float32) for _, found in drawn]
    rows = [
        (attack, found.metric, found.threshold, found.value, *interval(kept.astype(np.float64)))
        for (attack, found), kept in zip(drawn, stored, strict=True)
    ]
    rows += [
        (attack, found.metric, found.threshold, found.value, *found.exact)
        for attack, found in estimates
        if found.exact is not None
    ]
    rows += [("", name, "", value, value, value) for name, value in counted.items()]
    attack, metric, threshold, value, low, high = zip(*rows, strict=True)
    constant = {"seed": arguments.seed, "pair": arguments.pair, "model": arguments.model}
    keys = {"attack": attack, "metric": metric, "threshold": threshold}
    figures = {"value": value, "low": low, "high": high}
    table = pa.table(
        {name: pa.array([value] * len(rows)) for name, value in constant.items()}
        | {name: pa.array(column, pa.string()) for name, column in keys.items()}
        | {name: pa.array(column, pa.float64()) for name, column in figures.items()}
    )
    write_table(table, arguments.metrics)
    replicates = pa.array(stored, pa.list_(pa.float32()))
    kept = {name: pa.array(column[: len(stored)], pa.string()) for name, column in keys.items()}
    write_table(pa.table(kept | {"replicates": replicates}), arguments.bootstrap)


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
