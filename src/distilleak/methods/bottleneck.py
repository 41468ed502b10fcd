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
    reduction: float = Field(default=1.5, gt=1, le=2**16)
    """Rank of the projection: hidden size / reduction, rounded down, at least 1."""
    rate: float = Field(default=3.0, gt=0, le=1000)
    """Learning rate of what the projection adds, as a factor on that of the training."""


class Method(PlainDistillation[Parameters]):
    """Only the architecture differs from plain distillation."""

    changes: ClassVar[str] = "the projections"

    def check(self, student: ArchitectureSettings) -> None:
        """A narrow block must be divisible into the student's attention heads."""
        if self.parameters.place == "head":
            return
        rank = self._rank(student.width)
        other = "choose another reduction, or place: head"
        if rank % student.heads:
            raise DistilleakError(
                f"rank {rank} is not a multiple of the student's {student.heads} attention heads; "
                f"{other}"
            )
        least = LEAST_HEAD.get(student.type, 1)
        size = rank // student.heads
        if least > 1 and (size % 2 or size < least):
            raise DistilleakError(
                f"rank {rank} gives attention heads of size {size}, but {student.type} rotates "
                f"pairs of dimensions, at least {least}; {other}"
            )
        if student.type == "mobilebert" and rank >= student.width // 4:
            raise DistilleakError(
                f"rank {rank} is no narrower than the blocks of mobilebert, which have a "
                f"quarter of the width, {student.width // 4}; choose reduction: 8, or place: head"
            )

    def surgery(self, width: int, head_width: int) -> dict[str, dict[str, Any]]:
        """The projection; its rank is a fraction of the width of the states that it narrows."""
        narrowed = head_width if self.parameters.place == "head" else width
        return {"bottleneck": {"place": self.parameters.place, "rank": self._rank(narrowed)}}

    def start(self, student: PreTrainedModel, batches: Sequence[Batch]) -> None:
        """Start a head's projection where it changes the logits least."""
        from distilleak.models.surgery import bottleneck

        if self.parameters.place == "head":
            bottleneck.start_from_logits(student, batches)

    def rates(self, student: PreTrainedModel) -> dict[str, float]:
        """The rate of what the projection adds."""
        from distilleak.models.surgery import bottleneck

        names = bottleneck.added(student, self.parameters.place)
        return dict.fromkeys(names, self.parameters.rate)

    def _rank(self, width: int) -> int:
        return max(1, int(width / self.parameters.reduction))
