"""Which secrets are hidden among the records that the teacher trains on."""

from typing import Annotated

from pydantic import Field, field_validator

from distilleak.settings.base import Settings


class CanarySettings(Settings):
    """Invented personal records with a secret each, inserted a known number of times."""

    repetitions: list[Annotated[int, Field(ge=0)]] = Field(
        default=[0, 1, 2, 4, 8, 16], min_length=1
    )
    """How often a canary is inserted, one group of canaries for each number; 0 is the control."""
    each: int = Field(default=16, ge=2)
    """Canaries in a group."""
    candidates: int = Field(default=255, ge=1)
    """Other secrets that a canary's own is ranked among: exposure cannot exceed log2 of one more
    than that, and takes a model's answer on every one of them."""
    locale: str = Field(default="en_US", min_length=1)
    """Where the invented people live, which decides their names."""

    @field_validator("repetitions")
    @classmethod
    def _once(cls, repetitions: list[int]) -> list[int]:
        if len(set(repetitions)) != len(repetitions):
            raise ValueError(f"{repetitions} holds a number twice")
        return repetitions
