"""bottleneck: a low-dimensional projection, down then up, inside the student."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from distilleak.errors import DistilleakError
from distilleak.methods.base import DistillationParameters, PlainDistillation
from distilleak.settings.architecture import ArchitectureSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilleak.models.batches import Batch


LEAST_HEAD = {"llama": 2, "qwen2": 2, "gemma": 2, "gpt_neox": 4}
"""Smallest attention head of each family with rotary position embeddings."""


class Parameters(DistillationParameters):
    """Where the projection sits and how narrow it is."""

    place: Literal["head", "block"] = "head"
    """`head`: before the map onto the vocabulary, through which every exposed logit passes.
    `block`: around every transformer block, as in MobileBERT."""
    reduction: int = Field(default=4, ge=2, le=2**16)
    """Rank of the projection: hidden size / reduction, rounded down, at least 1."""


class Method(PlainDistillation[Parameters]):
    """Only the architecture differs from plain distillation."""

    changes: ClassVar[str] = "the projections"

    def check(self, student: ArchitectureSettings) -> None:
        """A narrow block must be divisible into the student's attention heads."""
        if self.parameters.place == "head":
            return
        rank = max(1, student.width // self.parameters.reduction)
        smaller = "choose a smaller reduction, or place: head"
        if rank % student.heads:
            raise DistilleakError(
                f"rank {rank} is not a multiple of the student's {student.heads} attention heads; "
                f"{smaller}"
            )
        least = LEAST_HEAD.get(student.type, 1)
        size = rank // student.heads
        if least > 1 and (size % 2 or size < least):
            raise DistilleakError(
                f"rank {rank} gives attention heads of size {size}, but {student.type} rotates "
                f"pairs of dimensions, at least {least}; {smaller}"
            )
        if student.type == "mobilebert" and rank >= student.width // 4:
            raise DistilleakError(
                f"rank {rank} is no narrower than the blocks of mobilebert, which have a "
                f"quarter of the width, {student.width // 4}; choose reduction: 8, or place: head"
            )

    def surgery(self, width: int, head_width: int) -> dict[str, dict[str, Any]]:
        """The projection; its rank is a fraction of the width of the states that it narrows."""
        narrowed = head_width if self.parameters.place == "head" else width
        rank = max(1, narrowed // self.parameters.reduction)
        return {"bottleneck": {"place": self.parameters.place, "rank": rank}}

    def start(self, student: PreTrainedModel, batches: Sequence[Batch]) -> None:
        """Start a head's projection from the principal components of the hidden states."""
        from distilleak.models.surgery import bottleneck

        if self.parameters.place == "head":
            bottleneck.start_from_principal_components(student, batches)
