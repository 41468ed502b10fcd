"""Running configured attacks on files of evidence."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distilleak.attacks.base import ScoreArray, checked
from distilleak.errors import DistilleakError
from distilleak.evidence.table import Evidence, Shadow, View, read_copies, read_view
from distilleak.records.table import Records
from distilleak.scoring.needs import (
    NEIGHBOUR,
    Entry,
    base_of,
    frequencies_of,
    module_of,
    parameters_of,
    population_of,
    reference_population_of,
    references_of,
    shadow_population_of,
    shadows_of,
    teacher_of,
    teacher_population_of,
    views_of,
)


class Reader:
    """Reads the evidence that some attacks need; what none of them needs is not read.

    The population, which does not grow with the records, is read once.

    Args:
        directory: of the target: `<view>.parquet` for every view and, if an attack needs it,
            `population.parquet`.
        references: directories of the reference models: `plain.parquet` and `population.parquet`.
        entries: the attacks.
        shadows: directory of each shadow model, with `plain.parquet` and, if an attack needs it,
            `population.parquet` -> ids of the records that the model trained on.
        base: directory of the public model that the target starts from: `plain.parquet`.
        teacher: directory of the model that the target has learned from, with the same two files;
            without it, the evidence of the target itself stands in for that of its teacher.
        unigram: (vocabulary,), how often each token occurs in the auxiliary pool.

    Raises:
        DistilleakError: a file is missing or damaged, there are too few references or shadows, or
            no token counts.
    """

    def __init__(
        self,
        directory: str | Path,
        references: Sequence[str | Path],
        entries: Sequence[Entry],
        *,
        shadows: Mapping[str | Path, Collection[str]] | None = None,
        base: str | Path | None = None,
        teacher: str | Path | None = None,
        unigram: NDArray[np.int64] | None = None,
    ) -> None:
        shadows = shadows or {}
        for kind, needed, given in (
            ("reference", references_of(entries), references),
            ("shadow", shadows_of(entries), shadows),
        ):
            if len(given) < needed:
                raise DistilleakError(f"the attacks need {needed} {kind} models, got {len(given)}")
        if frequencies_of(entries) and unigram is None:
            raise DistilleakError("the attacks need the token counts of the auxiliary pool")
        if base_of(entries) and base is None:
            raise DistilleakError("the attacks need the public model that the target starts from")
        self._base = Path(base) if base is not None and base_of(entries) else None
        self._directory = Path(directory)
        self._views = views_of(entries)
        self._references = list(references) if references_of(entries) else []
        self._shadows = dict(shadows) if shadows_of(entries) else {}
        self._teacher: Path | None = None
        if teacher_of(entries):
            self._teacher = Path(teacher or directory)
        self._unigram = unigram if frequencies_of(entries) else None
        self._population: View | None = None
        if population_of(entries):
            self._population = read_view(self._directory / "population.parquet")
        self._reference_population: list[View] = []
        if reference_population_of(entries):
            self._reference_population = [self._other(path) for path in self._references]
        self._teacher_population: View | None = None
        if self._teacher is not None and teacher_population_of(entries):
            self._teacher_population = self._other(self._teacher)
        self._shadow_population: dict[str | Path, View] = {}
        if shadow_population_of(entries):
            self._shadow_population = {path: self._other(path) for path in self._shadows}

    def read(self, records: Records) -> Evidence:
        """The evidence on `records`.

        Raises:
            DistilleakError: a file is missing or damaged.
        """
        ids = records.record_id
        own = self._directory
        return Evidence(
            record_id=ids,
            texts=records.text,
            views={
                view: read_view(own / f"{view}.parquet", ids)
                for view in self._views
                if view != NEIGHBOUR
            },
            references=[read_view(Path(path) / "plain.parquet", ids) for path in self._references],
            neighbours=read_copies(own / f"{NEIGHBOUR}.parquet", ids)
            if NEIGHBOUR in self._views
            else (),
            population=self._population,
            reference_population=self._reference_population,
            shadows=[
                Shadow(
                    read_view(Path(path) / "plain.parquet", ids),
                    np.array([record in trained for record in ids], np.bool_),
                    self._shadow_population.get(path),
                )
                for path, trained in self._shadows.items()
            ],
            base=read_view(self._base / "plain.parquet", ids) if self._base else None,
            teacher=read_view(self._teacher / "plain.parquet", ids) if self._teacher else None,
            teacher_population=self._teacher_population,
            unigram=self._unigram,
        )

    def _other(self, path: str | Path) -> View:
        """Another model's evidence on the population."""
        assert self._population is not None
        return read_view(Path(path) / "population.parquet", self._population.record_id)


def score_windows(
    attacks: Mapping[str, Entry], windows: Iterable[Evidence]
) -> dict[str, ScoreArray]:
    """The scores of configured attacks, name -> (records,), from evidence window by window.

    Raises:
        DistilleakError: a score is NaN or infinite.
    """
    record_id: list[str] = []
    found: dict[str, list[ScoreArray]] = {name: [] for name in attacks}
    for evidence in windows:
        record_id += evidence.record_id
        for name, entry in attacks.items():
            module = module_of(entry)
            if hasattr(module, "summarise"):
                scores = module.summarise(evidence)
            else:
                scores = module.score(evidence, parameters_of(entry))
                checked(scores, name, evidence.record_id)
            found[name].append(scores)
    joined = {}
    for name, entry in attacks.items():
        module = module_of(entry)
        scores = np.concatenate(found.pop(name), axis=-1)
        if hasattr(module, "judge"):
            scores = module.judge(scores, parameters_of(entry), record_id)
            checked(scores, name, record_id)
        joined[name] = scores
    return joined


def score_records(
    attacks: Mapping[str, Entry], reader: Reader, windows: Iterable[Records]
) -> tuple[pa.Table, dict[str, ScoreArray]]:
    """As `score_windows`, reading each window's evidence; with the labels of all the records.

    Raises:
        DistilleakError: evidence is missing or damaged, or a score is NaN or infinite.
    """
    known: list[pa.Table] = []

    def read() -> Iterator[Evidence]:
        for records in windows:
            known.append(records.labels())
            yield reader.read(records)

    scores = score_windows(attacks, read())
    return pa.concat_tables(known), scores
