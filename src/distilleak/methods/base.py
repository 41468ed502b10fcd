"""What a distillation method may change: hooks of plain distillation, each with its default.

A method is a module of this package named after it. It defines `Parameters`, a section of the
configuration, and `Method`, a subclass of `PlainDistillation` that overrides the hooks in which it
differs. No method imports torch at module level, since checking the configuration imports the
methods; a hook that needs torch imports it itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.objective import ObjectiveSettings

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from distilleak.models.batches import Batch


class DistillationParameters(ObjectiveSettings):
    """What every method that distils can choose: the objective."""


P = TypeVar("P", bound=DistillationParameters)


@dataclass(frozen=True)
class DistillationSet:
    """The members, or the public records, from which a student's records are selected.

    Attributes:
        record_id: (records,) their ids.
        tokens: (records,) arrays of token ids.
        vulnerable: (records,) whether the attack on the teacher identifies the record; all False
            for a method that does not need it.
        vocabulary: tokens in the vocabulary.
    """

    record_id: Sequence[str]
    tokens: Sequence[NDArray[np.integer]]
    vulnerable: NDArray[np.bool_]
    vocabulary: int


class PlainDistillation(Generic[P]):
    """Standard knowledge distillation (Hinton et al. 2015), and the base of every method."""

    needs_teacher: bool = True
    """Whether training uses the teacher's logits."""
    needs_vulnerability: bool = False
    """Whether a hook reads `DistillationSet.vulnerable`."""
    pool: ClassVar[str] = "member"
    """The records to select from: the students' share of the members, or `public`."""
    changes: ClassVar[str] = ""
    """What the method changes; only one part of a combination may change it. A method with an empty
    value cannot be part of a combination."""

    def __init__(self, parameters: P) -> None:
        self.parameters = parameters

    def check(self, student: ArchitectureSettings) -> None:
        """Refuse a student architecture on which the method cannot work.

        Raises:
            DistilleakError: names the reason, and what would work.
        """

    def all_changes(self) -> tuple[str, ...]:
        """What the method changes: `changes`, or those of all its parts."""
        return (self.changes,)

    def trained_like(self) -> dict[str, Any] | None:
        """The method that trains the same model, which differs only after `finish`, as
        {"method": name, "parameters": some of them}; None if there is no such method.
        """
        return None

    def removable(self) -> tuple[str, ...]:
        """What undoes the method when it is taken out of the released student, as whoever holds the
        weights can: modules of `distilleak.models.surgery`. What is left is the student as it was
        trained. Empty where nothing can be taken out, since the method lies in the weights.
        """
        return ()

    def objective(self) -> ObjectiveSettings:
        """The loss."""
        # Checked already, as a part of the parameters.
        return ObjectiveSettings.model_construct(
            **self.parameters.model_dump(include={*ObjectiveSettings.model_fields})
        )

    def select(self, members: DistillationSet, rng: np.random.Generator) -> NDArray[np.int64]:
        """Which records to train on: sorted positions in `members`."""
        return np.arange(len(members.record_id))

    def surgery(self, width: int, head_width: int) -> dict[str, dict[str, Any]]:
        """Changes to a student's architecture: `distilleak.models.surgery` module -> its settings.

        Args:
            width: hidden size of the student's blocks.
            head_width: size of the input of its map onto the vocabulary.
        """
        return {}

    def start(self, student: PreTrainedModel, batches: Sequence[Batch]) -> None:
        """Initialise the changed parts of `student` from some training batches."""

    def rates(self, student: PreTrainedModel) -> dict[str, float]:
        """Parameters of the student after surgery that are trained at a rate of their own: name ->
        factor on the learning rate. All others are trained at the learning rate itself.
        """
        return {}

    def vulnerable_tokens(self, members: DistillationSet) -> NDArray[np.bool_] | None:
        """The tokens on which the method acts, (vocabulary,); None if it uses none."""
        return None

    def targets(self, logits: Tensor, tokens: NDArray[np.bool_] | None) -> Tensor:
        """The teacher's logits (n, vocabulary) as the student sees them in training."""
        return logits

    def finish(self, student: PreTrainedModel, tokens: NDArray[np.bool_] | None) -> PreTrainedModel:
        """The student that is released, made from the trained one."""
        return student
