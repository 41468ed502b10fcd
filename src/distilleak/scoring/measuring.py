"""Measuring one model from its scores and evidence: estimates with intervals, and replicates."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.evidence import tempered
from distilleak.evidence.table import read_view
from distilleak.files import check_object, read_table
from distilleak.guards import sealed_json
from distilleak.metrics.bootstrap import stratified, weights
from distilleak.metrics.calibration import calibrated, dealt
from distilleak.metrics.factorial import effects, groups
from distilleak.metrics.measure import Measurement, measure, measure_exactly, measure_seen, resample
from distilleak.metrics.thresholds import folds
from distilleak.metrics.utility import utility
from distilleak.records import window
from distilleak.scoring.scores import Scores
from distilleak.settings.evaluation import EvaluationSettings

FACTS = (
    "parameters",
    "training_records",
    "training_tokens",
    "vulnerable_token_share",
    "loss_before_surgery",
    "loss_after_surgery",
    "dp_epsilon",
)
"""What facts.json says that becomes a metric, without an interval."""

MAJORITY = 0.5
"""A vote above it is a majority for membership (`score_vote`)."""

AttackMeasurement = tuple[str, Measurement]
"""The attack, empty for utility, and what was measured."""


@dataclass(frozen=True)
class Target:
    """The model that is measured."""

    seed: int
    pair: str
    model: str


def privacy(
    scores: Scores,
    seen: NDArray[np.bool_] | None,
    settings: EvaluationSettings,
    seed: int,
    *,
    majority: bool,
) -> Iterator[AttackMeasurement]:
    """What every attack finds out.

    Args:
        scores: of the evaluation pools.
        seen: (records,) whether the student trained on the record; None for other models.
        settings: folds and replicates.
        seed: of folds and resampling.
        majority: whether the scores are votes, whose threshold is `MAJORITY`.
    """
    labels, attacks = scores.teacher_member, scores.attacks
    fold = folds(labels, settings.folds, seed)
    drawn = weights(labels, settings.replicates, seed)
    threshold = MAJORITY if majority else None
    parts = [
        resample([measure(each, labels, fold, threshold) for each in attacks.values()], drawn),
        [
            measure_exactly(each, labels, settings.delta, settings.guess_share, seed)
            for each in attacks.values()
        ],
    ]
    if not np.array_equal(labels, scores.student_member):
        # A factorial split: the four groups keep their sizes in every replicate.
        group = groups(labels, scores.student_member)
        grouped = stratified(group, settings.replicates, seed)
        contrasts = [effects(each, labels, scores.student_member) for each in attacks.values()]
        parts.append(resample(contrasts, grouped))
    if seen is not None and not seen[labels].all():
        sides = [measure_seen(each, labels, seen, fold) for each in attacks.values()]
        parts.append(resample(sides, drawn))
    for attack, *measured in zip(attacks, *parts, strict=True):
        for found in measured:
            yield from ((attack, each) for each in found)


def read_seen(path: str | Path, scores: Scores) -> NDArray[np.bool_]:
    """Whether the student trained on each record; (records,), False on non-members.

    Raises:
        DistilleakError: the file is damaged, or lacks a member.
    """
    table = read_table(path, pa.schema({"record_id": pa.string(), "seen": pa.bool_()}))
    selected = dict(zip(table["record_id"].to_pylist(), table["seen"].to_pylist(), strict=True))
    lacking = [r for r in scores.record_id[scores.student_member] if r not in selected]
    if lacking:
        raise DistilleakError(f"{path}: does not say whether member {lacking[0]!r} was seen")
    return np.array([selected.get(record, False) for record in scores.record_id])


def heldout_utility(
    evidence: str | Path, records: str | Path, settings: EvaluationSettings, seed: int
) -> Iterator[AttackMeasurement]:
    """Utility on the hold-out pool.

    Args:
        evidence: directory of the model's evidence.
        records: records.parquet, which names the hold-out.
        settings: folds and replicates.
        seed: of folds and resampling.

    Raises:
        DistilleakError: a file is damaged, or there is no hold-out.
    """
    table = read_table(records, pa.schema({"record_id": pa.string(), "pool": pa.string()}))
    holdout = table.filter(pc.equal(table["pool"], "holdout"))["record_id"].to_pylist()
    if not holdout:
        raise DistilleakError(f"{records}: no record in pool 'holdout'")
    drawn = weights(np.zeros(len(holdout), np.bool_), settings.replicates, seed)
    holdout.sort()
    logp, tokens, correct, scaled = [], [], [], []
    for start in range(0, len(holdout), window.SIZE):
        part = holdout[start : start + window.SIZE]
        view = read_view(Path(evidence) / "plain.parquet", part)
        scaled.append(tempered.read(Path(evidence) / "tempered.parquet", part)[0])
        logp.append(view.logp.sum())
        tokens.append(view.logp.lengths)
        first = (view.rank.values == 0).astype(np.int64)
        correct.append(np.add.reduceat(first, view.rank.offsets[:-1]))
    count = np.concatenate(tokens)
    fold = dealt(len(holdout), settings.folds, seed)
    wanted = [
        utility(np.concatenate(logp), count, np.concatenate(correct)),
        calibrated(np.concatenate(scaled), count, tempered.SCALES, fold),
    ]
    for measured in resample(wanted, drawn):
        yield from (("", found) for found in measured)


def read_facts(path: str | Path) -> dict[str, float]:
    """The `FACTS` of a training.

    Raises:
        DistilleakError: the file is damaged, or a fact is no number.
    """
    facts = check_object(sealed_json.read(path), {}, path)
    found = {name: facts[name] for name in FACTS if name in facts}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DistilleakError(f"{path}: {name} is {value!r}; it must be a number")
    return found


def as_tables(
    measured: Target, estimates: Iterable[AttackMeasurement], counted: Mapping[str, float]
) -> tuple[pa.Table, pa.Table]:
    """The metrics with their intervals, and the replicates from which the intervals come."""
    estimates = list(estimates)
    drawn = [each for each in estimates if each[1].exact is None]
    # Intervals come from the replicates as they are stored, so that tables can repeat them.
    stored = [found.replicates.astype(np.float32) for _, found in drawn]
    rounded = [
        (attack, replace(found, replicates=kept.astype(np.float64)))
        for (attack, found), kept in zip(drawn, stored, strict=True)
    ]
    rows = [
        (attack, found.metric, found.threshold, found.value, *found.interval())
        for attack, found in (
            *rounded,
            *(each for each in estimates if each[1].exact is not None),
        )
    ]
    rows += [("", name, "", value, value, value) for name, value in counted.items()]
    attack, metric, threshold, value, low, high = zip(*rows, strict=True)
    constant = {"seed": measured.seed, "pair": measured.pair, "model": measured.model}
    keys = _columns({"attack": attack, "metric": metric, "threshold": threshold}, pa.string())
    figures = _columns({"value": value, "low": low, "high": high}, pa.float64())
    repeated = {name: pa.array([each] * len(rows)) for name, each in constant.items()}
    replicates = pa.array(stored, pa.list_(pa.float32()))
    kept = {name: column.slice(0, len(stored)) for name, column in keys.items()}
    return pa.table(repeated | keys | figures), pa.table(kept | {"replicates": replicates})


def _columns(columns: Mapping[str, Sequence[object]], kind: pa.DataType) -> dict[str, pa.Array]:
    return {name: pa.array(column, kind) for name, column in columns.items()}
