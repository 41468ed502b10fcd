"""What an attack is: a pure function from evidence to one score per record.

An attack is a module of this package named after it. It defines

* `Parameters`: its settings, a section of the configuration;
* `NEEDS`: the evidence that it reads, a `Needs`; no other evidence is computed for it;
* `THREAT`: what the attacker holds, knows and may train, one of the names in `scoring.threats`;
* `score(evidence, parameters)`: one float64 score per record, higher = more likely a member.

An attack that compares a record with other records splits `score` in two, so that the evidence need
not be in memory all at once:

* `summarise(evidence)`: what it needs of each record, (rows, records);
* `judge(summary, parameters, record_id)`: the scores, from the summaries of all the records.

A score that cannot be computed is NaN or infinite, never a placeholder; `checked` turns it into an
error. The functions below are shared by several attacks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.evidence.table import Evidence, View
from distilleak.ragged import Ragged

ScoreArray = NDArray[np.float64]  # (records,)

RESOLUTION = float(np.finfo(np.float32).eps)  # of evidence, at magnitude 1 (nats)


@dataclass(frozen=True)
class Needs:
    """The evidence that an attack reads."""

    views: tuple[str, ...] = ("plain",)
    """Views of the target model."""
    references: int = 0
    """Minimum number of reference models, trained on the auxiliary pool."""
    base: bool = False
    """Whether it reads evidence of the public model that the target starts from."""
    population: bool = False
    """Whether it reads evidence of the target, and of any reference and shadow models that it
    needs, on records of the auxiliary pool that no reference model trained on."""
    shadows: int = 0
    """Minimum number of shadow models; about half of them trained on any one record."""
    teacher: bool = False
    """Whether it reads evidence of the model that the target has learned from, too."""
    frequencies: bool = False
    """How often each token occurs in the auxiliary pool."""


def checked(scores: ScoreArray, attack: str, record_id: Sequence[str]) -> ScoreArray:
    """Return `scores` unchanged.

    Raises:
        DistilleakError: a score is NaN or infinite; the message names the attack and the record.
    """
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        record = record_id[int(bad[0])]
        raise DistilleakError(
            f"attack {attack!r}: the score of record {record!r} is {scores[bad[0]]}; "
            "scores must be finite, so its evidence holds NaN or infinite values"
        )
    return scores


def defined(scores: ScoreArray, *columns: Ragged) -> ScoreArray:
    """`scores`, but NaN where a row of one of the `columns` holds NaN or infinity; (records,).

    For attacks that compare or select tokens, which would silently leave such values out.
    """
    finite = [np.isfinite(column.sum()) for column in columns]
    return np.where(np.all(finite, axis=0), scores, np.nan)


def loss_ratio(changed: View, plain: View) -> ScoreArray:
    """L(changed) / L(plain) with L = -mean log p; (records,).

    A loss below `RESOLUTION` is raised to `RESOLUTION`: float32 log-probabilities cannot
    distinguish it from 0. So a text predicted with p = 1 throughout has ratio 1 if the change costs
    nothing, and a large finite ratio if it costs something; both are the limits for p -> 1.
    """
    above, below = (np.maximum(-view.logp.mean(), RESOLUTION) for view in (changed, plain))
    return above / below


def lowest_mean(values: Ragged, k: float) -> ScoreArray:
    """The mean of the lowest max(1, floor(k n)) values of each row; NaN if the row holds NaN.

    Sorting puts NaN last, where it would silently be left out.
    """
    return np.where(np.isnan(values.sum()), np.nan, values.lowest_mean(k))


def gain(evidence: Evidence) -> Ragged:
    """l_T - l_R of every token, in float64; l_R is the mean of log p over the reference models.

    Raises:
        DistilleakError: a reference model scored different tokens from the target.
    """
    target = evidence.views["plain"]
    check_tokens(target, evidence.references)
    total = np.zeros(len(target.logp.values))
    for view in evidence.references:
        total += view.logp.floats
    values = target.logp.floats - total / len(evidence.references)
    return Ragged(values, target.logp.offsets)


def check_tokens(target: View, references: Sequence[View]) -> None:
    """Refuse to compare models token by token whose tokens are not the same.

    Raises:
        DistilleakError: a reference model scored different tokens from the target.
    """
    if not all(target.token_id.equals(view.token_id) for view in references):
        raise DistilleakError(
            "a reference model scored different tokens from the target; comparing them token "
            "by token needs reference models with the target's tokenizer"
        )


def population_logp(view: View | None) -> ScoreArray:
    """The mean of log p on each record of the population, (population,).

    Raises:
        DistilleakError: there is no population, or one of its records has a NaN or infinite mean.
    """
    if view is None or not len(view.record_id):
        raise DistilleakError("the attack needs evidence on population records; there is none")
    means = view.logp.mean()
    bad = np.flatnonzero(~np.isfinite(means))
    if len(bad):
        record = view.record_id[int(bad[0])]
        raise DistilleakError(
            f"population record {record!r}: its mean log p is {means[bad[0]]}; it must be finite"
        )
    return means


def share_below(scores: ScoreArray, population: ScoreArray) -> ScoreArray:
    """The share of the population (population,) strictly below each score; (records,).

    NaN where the score is NaN or infinite.
    """
    below = np.searchsorted(np.sort(population), scores, side="left")
    return np.where(np.isfinite(scores), below / len(population), np.nan)
