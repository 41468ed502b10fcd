"""Which students form ensembles."""

from typing import Literal

from pydantic import Field

from distilleak.settings.base import Settings


class EnsembleSettings(Settings):
    """Each kind is built from each subset; the model is called `<kind>-<subset>`."""

    kinds: list[Literal["vote", "mixture"]] = Field(default=["vote", "mixture"])
    """`mixture`: the average of the students' next-token distributions, a model that is attacked as
    one. `vote`: no model, but what an attacker does who holds all of the students: the majority of
    the attack's decisions on them."""
    subsets: dict[str, list[str]] = Field(default={})
    """Maps the name of a subset to the students in it."""
