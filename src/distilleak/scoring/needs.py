"""What configured attacks need: views of evidence, reference models, shadows, counts."""

from collections.abc import Mapping, Sequence
from typing import Any

from distilleak import catalogue
from distilleak.attacks.base import Needs

Entry = Mapping[str, Any]
"""{"attack": module, "parameters": {...}}"""

NEIGHBOUR = "neighbour"
"""The view that holds several copies of each record."""


def views_of(entries: Sequence[Entry]) -> list[str]:
    """The views that the attacks read, sorted; `plain` is always among them."""
    needed = {view for entry in entries for view in _needs(entry).views}
    return sorted(needed | {"plain"})


def references_of(entries: Sequence[Entry]) -> int:
    """How many reference models the attacks need at least."""
    return max((_needs(entry).references for entry in entries), default=0)


def population_of(entries: Sequence[Entry]) -> bool:
    """Whether an attack needs evidence on the population."""
    return any(_needs(entry).population for entry in entries)


def reference_population_of(entries: Sequence[Entry]) -> bool:
    """Whether an attack needs evidence of the reference models on the population."""
    return any(_needs(entry).population and _needs(entry).references for entry in entries)


def shadow_population_of(entries: Sequence[Entry]) -> bool:
    """Whether an attack needs evidence of the shadow models on the population."""
    return any(_needs(entry).population and _needs(entry).shadows for entry in entries)


def shadows_of(entries: Sequence[Entry]) -> int:
    """How many shadow models the attacks need at least."""
    return max((_needs(entry).shadows for entry in entries), default=0)


def base_of(entries: Sequence[Entry]) -> bool:
    """Whether an attack needs evidence of the public model that the target starts from."""
    return any(_needs(entry).base for entry in entries)


def teacher_of(entries: Sequence[Entry]) -> bool:
    """Whether an attack needs evidence of the teacher of the target."""
    return any(_needs(entry).teacher for entry in entries)


def teacher_population_of(entries: Sequence[Entry]) -> bool:
    """Whether an attack needs evidence of that teacher on the population."""
    return any(_needs(entry).population and _needs(entry).teacher for entry in entries)


def frequencies_of(entries: Sequence[Entry]) -> bool:
    """Whether an attack needs the token counts of the auxiliary pool."""
    return any(_needs(entry).frequencies for entry in entries)


def _needs(entry: Entry) -> Needs:
    needs: Needs = module_of(entry).NEEDS
    return needs


def parameters_of(entry: Entry) -> Any:
    return module_of(entry).Parameters.model_validate(entry["parameters"])


def module_of(entry: Entry) -> Any:
    return catalogue.load("attacks", entry["attack"])
