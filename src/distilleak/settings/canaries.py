"""Which secrets are hidden among the records that the teacher trains on."""

from typing import Annotated

from pydantic import Field, field_validator

from distilleak.settings.base import Settings


class CanarySettings(Settings):
    """Invented personal records, each with a secret, inserted a known number of times."""

    repetitions: list[Annotated[int, Field(ge=0, le=10**6)]] = Field(
        default=[0, 1, 2, 4, 8, 16], min_length=1, max_length=100
    )
    """How often a canary is inserted; each number has its own group, and 0 is the control."""
    each: int = Field(default=16, ge=2, le=10**5)
    """Canaries per group."""
    candidates: int = Field(default=255, ge=1, le=10**6)
    """Number of other secrets among which a canary's own is ranked. Exposure cannot exceed
    log2(candidates + 1), and measuring it queries the model on every candidate."""
    locale: str = Field(default="en_US", min_length=1)
    """Where the invented people live, which determines their names."""

    @field_validator("repetitions")
    @classmethod
    def _once(cls, repetitions: list[int]) -> list[int]:
        if len(set(repetitions)) != len(repetitions):
            raise ValueError(f"{repetitions} holds a number twice")
        return repetitions
