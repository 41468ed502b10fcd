"""bottleneck: a low-dimensional projection, down then up, inside the student."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from distilleak.errors import DistilleakError
from distilleak.methods.base import DistillationParameters, PlainDistillation
from distilleak.settings.architecture import ArchitectureSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilleak.batches import Batch


class Parameters(DistillationParameters):
    """Where the projection sits and how narrow it is."""

    place: Literal["head", "block"] = "head"
    """`head`: before the vocabulary, the one place through which every exposed logit passes.
    `block`: around every transformer block, as in MobileBERT."""
    reduction: Literal[2, 4, 8] = 4
    """Rank of the projection: hidden size / reduction."""


class Method(PlainDistillation[Parameters]):
    """Only the architecture differs from plain distillation."""

    def check(self, student: ArchitectureSettings) -> None:
        """A narrow block must be cut into the student's attention heads."""
        rank = max(1, student.width // self.parameters.reduction)
        if self.parameters.place == "block" and rank % student.heads:
            raise DistilleakError(
                f"rank {rank} is not a multiple of the student's {student.heads} attention heads; "
                "choose a smaller reduction, or place: head"
            )

    def surgery(self, width: int) -> dict[str, dict[str, Any]]:
        """The projection, of rank width / reduction."""
        rank = max(1, width // self.parameters.reduction)
        return {"bottleneck": {"place": self.parameters.place, "rank": rank}}

    def start(self, student: PreTrainedModel, batches: Sequence[Batch]) -> None:
        """Start a head's projection from the principal components of the hidden states."""
        from distilleak.surgery import bottleneck

        if self.parameters.place == "head":
            bottleneck.start_from_principal_components(student, batches)
