"""Which students are put together."""

from typing import Literal

from pydantic import Field

from distilleak.settings.base import Settings


class EnsembleSettings(Settings):
    """Every kind is made of every subset; a model is called `<kind>-<subset>`."""

    kinds: list[Literal["vote", "mixture"]] = Field(default=["vote", "mixture"])
    """`vote`: the students' attack decisions vote. `mixture`: the average of their next-token
    distributions, attacked as one model."""
    subsets: dict[str, list[str]] = Field(default={})
    """Name of the subset -> the students in it."""
