"""combination: several methods at once, combined by configuration alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.methods.base import DistillationParameters, DistillationSet, PlainDistillation
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.objective import ObjectiveSettings
from distilleak.settings.problems import explained

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from distilleak.models.batches import Batch

ORDER = ("the records", "the norms", "the projections", "the output")
"""What a part may change. Parts are initialised in this order: a projection starts from the hidden
states of a student whose norms have already been replaced."""


class Parameters(DistillationParameters):
    """The parts, and one objective for all of them."""

    of: list[dict[str, Any]] = Field(min_length=2)
    """Each `method` and its parameters, as in an entry of its own, except for the objective, which
    belongs beside `of`."""

    @field_validator("of")
    @classmethod
    def _complete(cls, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The parts with all their parameters, in the order in which they are applied."""
        parts = [_part(entry) for entry in given]
        changed = [_changes(part) for part in parts]
        for what in set(changed):
            if changed.count(what) > 1:
                both = [part["method"] for part in parts if _changes(part) == what]
                raise ValueError(f"{' and '.join(both)} both change {what}; choose one of them")
        return sorted(parts, key=lambda part: ORDER.index(_changes(part)))


def _part(entry: dict[str, Any]) -> dict[str, Any]:
    given = dict(entry)
    name = given.pop("method", None)
    allowed = [
        known
        for known in catalogue.names("methods")
        if known != "combination" and catalogue.load("methods", known).Method.changes in ORDER
    ]
    if name not in allowed:
        raise ValueError(f"a part names its `method`, not {name!r}; allowed: {', '.join(allowed)}")
    if shared := sorted(given.keys() & ObjectiveSettings.model_fields.keys()):
        raise ValueError(
            f"{shared[0]} of {name}: all parts share one objective; put it beside `of`"
        )
    kind = catalogue.load("methods", name).Parameters
    try:
        complete = kind.model_validate(given)
    except ValidationError as error:
        raise ValueError(str(explained(error, kind, str(name)))) from error
    return {"method": name, **complete.model_dump(exclude={*ObjectiveSettings.model_fields})}


def _changes(part: dict[str, Any]) -> str:
    changes: str = catalogue.load("methods", part["method"]).Method.changes
    return changes


def _method(part: dict[str, Any]) -> PlainDistillation[Any]:
    """The method of a part that `_part` has checked and completed."""
    module = catalogue.load("methods", part["method"])
    given = {key: value for key, value in part.items() if key != "method"}
    return module.Method(module.Parameters.model_construct(**given))  # type: ignore[no-any-return]


class Method(PlainDistillation[Parameters]):
    """Every hook calls that of each part in turn."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters)
        self.parts = [_method(part) for part in parameters.of]
        self.needs_vulnerability = any(part.needs_vulnerability for part in self.parts)
        self.pool = next((p.pool for p in self.parts if p.pool != "member"), "member")  # type: ignore[misc]
        self._tokens: list[NDArray[np.bool_] | None] = [None] * len(self.parts)

    def all_changes(self) -> tuple[str, ...]:
        """Those of all parts."""
        return tuple(part.changes for part in self.parts)

    def trained_like(self) -> dict[str, Any] | None:
        """The combination without the parts that only finish a student."""
        trained = [
            part
            for part, method in zip(self.parameters.of, self.parts, strict=True)
            if method.trained_like() is None
        ]
        if len(trained) == len(self.parts):
            return None
        objective = self.objective().model_dump()
        if len(trained) > 1:
            return {"method": "combination", "parameters": {"of": trained, **objective}}
        # At most one part changes the output, so another one is left.
        own = {key: value for key, value in trained[0].items() if key != "method"}
        return {"method": trained[0]["method"], "parameters": {**own, **objective}}

    def removable(self) -> tuple[str, ...]:
        """What can be taken out of any part."""
        return tuple(name for part in self.parts for name in part.removable())

    def check(self, student: ArchitectureSettings) -> None:
        """Checks every part."""
        for part in self.parts:
            part.check(student)

    def select(self, members: DistillationSet, rng: np.random.Generator) -> NDArray[np.int64]:
        """The records that all parts select.

        Raises:
            DistilleakError: there are none.
        """
        selected = super().select(members, rng)
        for part in self.parts:
            selected = np.intersect1d(selected, part.select(members, rng))
        if not len(selected):
            raise DistilleakError("combination: no record is selected by all parts")
        return selected

    def surgery(self, width: int, head_width: int) -> dict[str, dict[str, Any]]:
        """The changes of all parts."""
        return {
            name: settings
            for part in self.parts
            for name, settings in part.surgery(width, head_width).items()
        }

    def start(self, student: PreTrainedModel, batches: Sequence[Batch]) -> None:
        """Norms first: projections are initialised from the hidden states that follow them."""
        for part in self.parts:
            part.start(student, batches)

    def rates(self, student: PreTrainedModel) -> dict[str, float]:
        """Those of all parts, which add different parameters."""
        return {name: factor for part in self.parts for name, factor in part.rates(student).items()}

    def vulnerable_tokens(self, members: DistillationSet) -> NDArray[np.bool_] | None:
        """Those of any part."""
        self._tokens = [part.vulnerable_tokens(members) for part in self.parts]
        marked = [tokens for tokens in self._tokens if tokens is not None]
        return np.logical_or.reduce(marked) if marked else None

    def targets(self, logits: Tensor, tokens: NDArray[np.bool_] | None) -> Tensor:
        """Mapped by every part, on its own tokens."""
        for part, own in zip(self.parts, self._tokens, strict=True):
            logits = part.targets(logits, own)
        return logits

    def finish(self, student: PreTrainedModel, tokens: NDArray[np.bool_] | None) -> PreTrainedModel:
        """Finished by every part, on its own tokens."""
        for part, own in zip(self.parts, self._tokens, strict=True):
            student = part.finish(student, own)
        return student
