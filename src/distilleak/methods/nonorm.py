"""nonorm: every LayerNorm and RMSNorm of the student becomes an element-wise affine map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from distilleak.methods.base import DistillationParameters, PlainDistillation

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilleak.models.batches import Batch


class Parameters(DistillationParameters):
    """Which norms are replaced."""

    keep_final: bool = False
    """Whether to keep the norm before the head."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the norms that is replaced, those nearest to the input; at least one is."""


class Method(PlainDistillation[Parameters]):
    """Only the architecture differs from plain distillation."""

    changes: ClassVar[str] = "the norms"

    def surgery(self, width: int, head_width: int) -> dict[str, dict[str, Any]]:
        """No normalisation (MobileBERT, Sun et al. 2020, section 3.3)."""
        return {"nonorm": self.parameters.model_dump(include={"keep_final", "share"})}

    def start(self, student: PreTrainedModel, batches: Sequence[Batch]) -> None:
        """Fold the statistics of the norms into the maps, so that training starts as with norms."""
        from distilleak.models.surgery import nonorm

        nonorm.fold_statistics(student, batches)
