"""bottleneck: a low-dimensional projection, down then up, inside the student."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from distilleak.methods.base import DistillationParameters, PlainDistillation

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

    def surgery(self, width: int) -> dict[str, dict[str, Any]]:
        """The projection, of rank width / reduction."""
        rank = max(1, width // self.parameters.reduction)
        return {"bottleneck": {"place": self.parameters.place, "rank": rank}}

    def start(self, student: PreTrainedModel, batches: Sequence[Batch]) -> None:
        """Start a head's projection from the principal components of the hidden states."""
        from distilleak.surgery import bottleneck

        if self.parameters.place == "head":
            bottleneck.start_from_principal_components(student, batches)
