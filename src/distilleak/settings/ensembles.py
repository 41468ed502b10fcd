"""Which students form ensembles."""

from typing import Literal

from pydantic import Field

from distilleak.settings.base import Settings


class EnsembleSettings(Settings):
    """Each kind is built from each subset; the model is called `<kind>-<subset>`."""

    kinds: list[Literal["vote", "mixture"]] = Field(default=["vote", "mixture"])
    """`vote`: a majority vote over the attack's decisions on the students. `mixture`: the average
    of their next-token distributions, attacked as one model."""
    subsets: dict[str, list[str]] = Field(default={})
    """Maps the name of a subset to the students in it."""
