"""Running configured attacks on files of evidence."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distilleak import catalogue
from distilleak.attacks.base import Scores, checked
from distilleak.errors import DistilleakError
from distilleak.evidence import Evidence, read_view
from distilleak.records import Records

Entry = Mapping[str, Any]
"""{"attack": module, "parameters": {...}}"""


def views_of(entries: Sequence[Entry]) -> list[str]:
    """The views that the attacks read, sorted; `plain` is always among them."""
    needed = {view for entry in entries for view in _module(entry).VIEWS}
    return sorted(needed | {"plain"})


def references_of(entries: Sequence[Entry]) -> int:
    """How many reference models the attacks need at least."""
    return max((_module(entry).REFERENCES for entry in entries), default=0)


def read_evidence(
    directory: str | Path,
    references: Sequence[str | Path],
    records: Records,
    entries: Sequence[Entry],
) -> Evidence:
    """The evidence that the attacks need, on `records`, from `<directory>/<view>.parquet`.

    Raises:
        DistilleakError: a file is missing or damaged, or there are too few references.
    """
    needed = references_of(entries)
    if len(references) < needed:
        raise DistilleakError(f"the attacks need {needed} reference models, got {len(references)}")
    return Evidence(
        record_id=records.record_id,
        texts=records.text,
        views={
            view: read_view(Path(directory) / f"{view}.parquet", records.record_id)
            for view in views_of(entries)
        },
        references=[
            read_view(Path(path) / "plain.parquet", records.record_id) for path in references
        ]
        if needed
        else [],
    )


def score(name: str, entry: Entry, evidence: Evidence) -> Scores:
    """The scores of one configured attack, (records,).

    Raises:
        DistilleakError: a score is NaN or infinite.
    """
    module = _module(entry)
    parameters = module.Parameters.model_validate(entry["parameters"])
    return checked(module.score(evidence, parameters), name, evidence)


def _module(entry: Entry) -> Any:
    return catalogue.load("attacks", entry["attack"])
