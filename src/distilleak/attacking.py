"""Running configured attacks on files of evidence."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilleak import catalogue
from distilleak.attacks.base import Needs, Scores, checked
from distilleak.errors import DistilleakError
from distilleak.evidence import Evidence, Shadow, read_copies, read_view
from distilleak.records import Records

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


def frequencies_of(entries: Sequence[Entry]) -> bool:
    """Whether an attack needs the token counts of the auxiliary pool."""
    return any(_needs(entry).frequencies for entry in entries)


def read_evidence(
    directory: str | Path,
    references: Sequence[str | Path],
    records: Records,
    entries: Sequence[Entry],
    *,
    shadows: Mapping[str | Path, Collection[str]] | None = None,
    unigram: NDArray[np.int64] | None = None,
) -> Evidence:
    """The evidence that the attacks need, on `records`; what none of them needs is not read.

    Args:
        directory: of the target: `<view>.parquet` for every view and, if an attack needs it,
            `population.parquet`.
        references: directories of the reference models: `plain.parquet` and `population.parquet`.
        records: the records to attack.
        entries: the attacks.
        shadows: directory of each shadow model, with `plain.parquet` and, if an attack needs it,
            `population.parquet` -> ids of the records that the model trained on.
        unigram: (vocabulary,), how often each token occurs in the auxiliary pool.

    Raises:
        DistilleakError: a file is missing or damaged, there are too few references or shadows, or
            no token counts.
    """
    shadows = shadows or {}
    for kind, needed, given in (
        ("reference", references_of(entries), references),
        ("shadow", shadows_of(entries), shadows),
    ):
        if len(given) < needed:
            raise DistilleakError(f"the attacks need {needed} {kind} models, got {len(given)}")
    if frequencies_of(entries) and unigram is None:
        raise DistilleakError("the attacks need the token counts of the auxiliary pool")
    if not references_of(entries):
        references = ()
    if not shadows_of(entries):
        shadows = {}
    own = Path(directory)
    views = views_of(entries)
    population = read_view(own / "population.parquet") if population_of(entries) else None
    ids = records.record_id
    return Evidence(
        record_id=ids,
        texts=records.text,
        views={
            view: read_view(own / f"{view}.parquet", ids) for view in views if view != NEIGHBOUR
        },
        references=[read_view(Path(path) / "plain.parquet", ids) for path in references],
        neighbours=read_copies(own / f"{NEIGHBOUR}.parquet", ids) if NEIGHBOUR in views else (),
        population=population,
        reference_population=[
            read_view(Path(path) / "population.parquet", population.record_id)
            for path in references
        ]
        if population and reference_population_of(entries)
        else (),
        shadows=[
            Shadow(
                read_view(Path(path) / "plain.parquet", ids),
                np.array([record in trained for record in ids], np.bool_),
                read_view(Path(path) / "population.parquet", population.record_id)
                if population and shadow_population_of(entries)
                else None,
            )
            for path, trained in shadows.items()
        ],
        unigram=unigram if frequencies_of(entries) else None,
    )


def score(name: str, entry: Entry, evidence: Evidence) -> Scores:
    """The scores of one configured attack, (records,).

    Raises:
        DistilleakError: a score is NaN or infinite.
    """
    module = _module(entry)
    parameters = module.Parameters.model_validate(entry["parameters"])
    return checked(module.score(evidence, parameters), name, evidence)


def _needs(entry: Entry) -> Needs:
    needs: Needs = _module(entry).NEEDS
    return needs


def _module(entry: Entry) -> Any:
    return catalogue.load("attacks", entry["attack"])
