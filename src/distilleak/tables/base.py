"""What all tables share: the layout of a study, and estimates per seed and pooled over seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from distilleak.errors import DistilleakError
from distilleak.metrics.rates import Floats
from distilleak.metrics.seeds import over_seeds
from distilleak.settings.base import Settings

Key = tuple[str, str, str]  # attack, metric, threshold; attack and threshold may be empty


class Model(Settings):
    """One model of a pair."""

    model: str
    kind: Literal["teacher", "student", "vote", "mixture"]
    method: str
    label: str
    role: Literal["trivial", "strong", "method"] = "method"
    """What it is in the comparison at equal utility: what has to be beaten, or what has to beat."""
    sweep: str = ""
    """The method, if this is a student that differs from others of it in strength alone."""
    members: list[str] = Field(default=[])
    """Of an ensemble: the students in it."""

    @property
    def decision(self) -> str:
        """The name of the threshold by which this model's records are called members."""
        return "majority" if self.kind == "vote" else "cross_fitted"


class Pair(Settings):
    """A teacher and all that came of it, in drawing order."""

    models: list[Model] = Field(min_length=1)
    data: str = Field(default="", pattern=r"^(/[^/]+)*$")
    """Directory of its records and blind verdict below that of a seed: empty, or beginning with a
    slash. Pairs may share one."""
    vocabulary: int | None = Field(default=None, ge=1)
    """Tokens that its models know; None where only a pretrained model's own files tell."""

    def of_kind(self, *kinds: str) -> list[Model]:
        """The models of these kinds, in drawing order."""
        return [model for model in self.models if model.kind in kinds]

    def named(self, name: str) -> Model | None:
        """The model of this name, if there is one."""
        return next((model for model in self.models if model.model == name), None)


class Layout(Settings):
    """What a study consists of, as the workflow knows it."""

    seeds: list[int] = Field(min_length=1)
    headline_attack: str
    attacks: list[str] = Field(min_length=1)
    pairs: dict[str, Pair] = Field(min_length=1)
    differing: Literal["split and training", "training", "split"] = "split and training"
    """What seeds differ in."""

    @model_validator(mode="after")
    def _consistent(self) -> "Layout":
        if self.headline_attack not in self.attacks:
            raise ValueError(
                f"headline_attack {self.headline_attack!r} is not among the attacks: "
                f"{', '.join(self.attacks)}"
            )
        for name, pair in self.pairs.items():
            students = {model.model for model in pair.of_kind("student")}
            for model in pair.models:
                unknown = [member for member in model.members if member not in students]
                if unknown:
                    raise ValueError(
                        f"pair {name!r}: ensemble {model.model!r} has member {unknown[0]!r}, which "
                        f"is no student; students: {', '.join(sorted(students))}"
                    )
        return self

    def models(self) -> Iterator[tuple[str, Model]]:
        """(pair, model) of every model, in order."""
        return ((name, model) for name, pair in self.pairs.items() for model in pair.models)


@dataclass(frozen=True)
class Estimate:
    """One metric of one model and seed, with its 95 % interval."""

    value: float
    low: float
    high: float
    replicates: Floats  # (B,); all equal where something is counted, not estimated


@dataclass(frozen=True)
class Pooled:
    """One metric of one model over seeds: their mean, and the interval of the mean."""

    value: float
    low: float
    high: float
    by_seed: Floats  # (S,)
    replicates: Floats  # (S, B), of every seed


def pool(estimates: Sequence[Estimate]) -> Pooled:
    """Pool one metric over seeds by `metrics.seeds.over_seeds`; one seed keeps its own interval.

    Raises:
        DistilleakError: there is no estimate.
    """
    if not estimates:
        raise DistilleakError("no seed has this metric; there is nothing to pool")
    values = np.array([estimate.value for estimate in estimates])
    replicates = np.stack([estimate.replicates for estimate in estimates])
    if len(estimates) == 1:
        only = estimates[0]
        return Pooled(only.value, only.low, only.high, values, replicates)
    found = over_seeds(values, replicates)
    return Pooled(found.value, found.low, found.high, values, replicates)


PooledMetrics = Mapping[tuple[str, str], Mapping[Key, Pooled]]
"""(pair, model) -> metric -> its pooled estimate."""
