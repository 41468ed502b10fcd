"""The shape of a model that is built from scratch."""

from typing import Literal

from pydantic import Field, model_validator

from distilleak.settings.base import Settings


class ArchitectureSettings(Settings):
    """A decoder-only transformer in the manner of GPT-2, without dropout."""

    type: Literal["gpt2"] = "gpt2"
    """Model family."""
    layers: int = Field(ge=1)
    """Transformer blocks."""
    width: int = Field(ge=1)
    """Hidden size d."""
    heads: int = Field(ge=1)
    """Attention heads; they divide the width."""
    positions: int = Field(ge=2)
    """Longest sequence: 1 for the start token, then prefix and record."""

    @model_validator(mode="after")
    def _divides(self) -> "ArchitectureSettings":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class PairSettings(Settings):
    """A teacher and the student that is distilled from it."""

    teacher: ArchitectureSettings
    """The model that is trained on the private records."""
    student: ArchitectureSettings
    """The architecture of every student, and of the reference models."""
