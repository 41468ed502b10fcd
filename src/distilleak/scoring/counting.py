"""Measuring count models: how useful they are, and what they reveal of the records they counted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distilleak.floors import kneser_ney
from distilleak.floors.floor import FLOORS
from distilleak.floors.kneser_ney import CountModel
from distilleak.metrics.bootstrap import weights
from distilleak.metrics.measure import Measurement, measure, resample
from distilleak.metrics.thresholds import folds
from distilleak.metrics.utility import utility
from distilleak.records.table import Records
from distilleak.settings.evaluation import EvaluationSettings

Floats = NDArray[np.float64]
Tokens = NDArray[np.int32]
Found = tuple[str, str, Measurement]
"""The floor, the attack, empty for utility, and what was measured."""


@dataclass(frozen=True)
class Counted:
    """What count models are made of and measured on; records sorted by their ids.

    Attributes:
        public: text that the attacker has anyway.
        members: what the teacher is trained on.
        holdout: on which utility is measured.
        evaluated: members and non-members.
        vocabulary: number of tokens.
    """

    public: Sequence[Tokens]
    members: Sequence[Tokens]
    holdout: Sequence[Tokens]
    evaluated: Records
    vocabulary: int


def floors(counted: Counted, settings: EvaluationSettings, seed: int) -> Iterator[Found]:
    """Every metric of every count model.

    The attacks are the mean log-probability of a record (`loss`) and, where members are counted,
    its difference from that of the model that counts public text alone (`reference`): all that
    distinguishes the two is the members.

    Args:
        counted: what is counted and measured.
        settings: folds and replicates.
        seed: of folds and resampling; those of every model of the study.

    Raises:
        DistilleakError: there is nothing to count, or the vocabulary is too large.
    """
    labels = counted.evaluated.teacher_member
    fold = folds(labels, settings.folds, seed)
    drawn = weights(labels, settings.replicates, seed)
    held_out = weights(np.zeros(len(counted.holdout), np.bool_), settings.replicates, seed)
    public: dict[int, Floats] = {}
    for name, floor in FLOORS.items():
        text = [*counted.public, *(counted.members if floor.members else ())]
        model = kneser_ney.fit(text, floor.order, counted.vocabulary)
        useful = utility(*_per_record(model, counted.holdout))
        for found in resample([useful], held_out)[0]:
            yield name, "", found
        logp, tokens, _ = _per_record(model, counted.evaluated.tokens)
        loss = public.setdefault(floor.order, logp / tokens)
        scores = {"loss": logp / tokens}
        if floor.members:
            scores["reference"] = logp / tokens - loss
        wanted = [measure(values, labels, fold, None) for values in scores.values()]
        for attack, measured in zip(scores, resample(wanted, drawn), strict=True):
            yield from ((name, attack, found) for found in measured)


def as_table(found: Iterator[Found]) -> pa.Table:
    """The metrics with their intervals and replicates."""
    rows = []
    for floor, attack, each in found:
        replicates = each.replicates.astype(np.float32)
        key = (floor, attack, each.metric, each.threshold)
        ends = replace(each, replicates=replicates.astype(np.float64)).interval()
        rows.append((*key, each.value, *ends, replicates))
    columns = zip(*rows, strict=True)
    kinds: Mapping[str, pa.DataType] = {
        **dict.fromkeys(("floor", "attack", "metric", "threshold"), pa.string()),
        **dict.fromkeys(("value", "low", "high"), pa.float64()),
        "replicates": pa.list_(pa.float32()),
    }
    return pa.table(
        {
            name: pa.array(column, kind)
            for (name, kind), column in zip(kinds.items(), columns, strict=True)
        }
    )


def _per_record(
    model: CountModel, records: Sequence[Tokens]
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """(records,) each: sum of the log-probabilities, tokens, tokens that are the most likely."""
    logp, correct = model.score(records)
    lengths = np.array([len(record) for record in records], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    return (
        np.add.reduceat(logp, starts),
        lengths,
        np.add.reduceat(correct.astype(np.int64), starts),
    )
