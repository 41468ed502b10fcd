"""The students of a study, each resolved once: its method, its training and what it starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from distilleak import catalogue
from distilleak.methods.base import PlainDistillation
from distilleak.settings.architecture import CheckpointSettings, PairSettings, StudentSettings
from distilleak.settings.problems import ConfigurationError, explained
from distilleak.settings.training import EarlySettings, StudentTrainingSettings, TrainingSettings
from distilleak.study import entries
from distilleak.study.configuration import Configuration, Raw
from distilleak.study.entries import Entry

S = TypeVar("S", bound=BaseModel)

OWN = ("training", "student", "teacher", "early")
"""Keys of a student's entry that do not belong to its method: what differs from the settings that
all students share, and which student it is an early epoch of."""


@dataclass(frozen=True)
class Student:
    """One student.

    Attributes:
        name: as the configuration names it.
        method: its method, ready to use.
        entry: the method's module and parameters.
        own: those of the keys `OWN` that the configuration gives.
        training: how it is trained: as all students are, except for what its entry changes.
        starts: pair -> what it starts from: as all students of the pair, except for what its entry
            changes.
        teacher: the one of `teachers` that it learns from; None for the common teacher.
        early: the student of which this one is an early epoch, and the epoch; None if it is trained
            itself. All other attributes are then those of that student.
        made_from: the student whose trained model this one is made from, because its method only
            acts on a trained model; None if there is no such student, and it is trained itself.
    """

    name: str
    method: PlainDistillation[Any]
    entry: Entry
    own: Raw
    training: StudentTrainingSettings
    starts: Mapping[str, StudentSettings]
    teacher: str | None
    early: EarlySettings | None = None
    made_from: str | None = None


def resolve(configuration: Configuration, pairs: Mapping[str, PairSettings]) -> dict[str, Student]:
    """Name -> student, in the order of the configuration, on these pairs.

    Raises:
        ConfigurationError: an entry is wrong on its own, or names a student or a teacher that does
            not exist; `checks` holds what goes beyond one entry.
    """
    raws = {name: raw or {} for name, raw in configuration.methods.items()}
    found = {
        name: _trained(configuration, pairs, name, raw)
        for name, raw in raws.items()
        if "early" not in raw
    }
    for name, student in found.items():
        found[name] = replace(student, made_from=_made_from(student, found))
    early = {name: _early(name, raw, found) for name, raw in raws.items() if "early" in raw}
    return {name: (early if name in early else found)[name] for name in raws}


def teachers(configuration: Configuration) -> dict[str, TrainingSettings]:
    """How each of `teachers` is trained.

    Raises:
        ConfigurationError: a key is wrong.
    """
    shared = configuration.training.teacher
    return {
        name: _changed(shared, given, "teachers", name)
        for name, given in configuration.teachers.items()
    }


def differs_in_strength_alone(student: Student, configuration: Configuration) -> bool:
    """Whether a student has the training, the objective and the shape that the study's students
    share, so that only its method and the method's parameters are its own."""
    objective = student.method.objective().model_dump()
    shared = configuration.distillation.model_dump(include=set(objective))
    return not student.own and objective == shared


def _trained(
    configuration: Configuration, pairs: Mapping[str, PairSettings], name: str, raw: Raw
) -> Student:
    shared = configuration.distillation.model_dump(exclude={"stored_gib"})
    own = {key: raw[key] for key in OWN if key in raw}
    chosen = {key: value for key, value in raw.items() if key not in OWN}
    entry = entries.resolve("methods", "method", f"methods.{name}", name, chosen, shared)
    training = configuration.training.student
    if given := _section(own, name, "training"):
        training = _changed(training, given, "methods", name, "training")
    return Student(
        name=name,
        method=entry.module.Method(entry.parameters),
        entry=entry,
        own=own,
        training=training,
        starts={
            pair: _start(roles, _section(own, name, "student"), name)
            for pair, roles in pairs.items()
        },
        teacher=_teacher(configuration, own, name),
    )


def _start(roles: PairSettings, given: Raw, name: str) -> StudentSettings:
    if not given:
        return roles.student
    if isinstance(roles.student, CheckpointSettings):
        raise ConfigurationError(
            f"methods.{name}.student",
            "the pair's student is a pretrained model, whose shape is its own",
        )
    if fixed := sorted(given.keys() & {"type", "positions", "init"}):
        raise ConfigurationError(
            f"methods.{name}.student.{fixed[0]}", "is that of the pair for all its students"
        )
    return _changed(roles.student, given, "methods", name, "student")


def _teacher(configuration: Configuration, own: Raw, name: str) -> str | None:
    teacher = own.get("teacher")
    if teacher is None or (isinstance(teacher, str) and teacher in configuration.teachers):
        return teacher
    near = catalogue.suggestion(str(teacher), list(configuration.teachers))
    raise ConfigurationError(f"methods.{name}.teacher", f"no {teacher!r} among `teachers`{near}")


def _made_from(student: Student, trained: Mapping[str, Student]) -> str | None:
    wanted = student.method.trained_like()
    if wanted is None:
        return None
    # The values were checked with the student's own entry; what is missing has its default.
    kind: type[BaseModel] = catalogue.load("methods", wanted["method"]).Parameters
    parameters = kind.model_construct(**wanted["parameters"]).model_dump(mode="json")
    entry = {"method": wanted["method"], "parameters": parameters}

    def training(other: Student) -> tuple[object, ...]:
        return other.training, other.starts, other.teacher

    alike = (
        name
        for name, other in trained.items()
        if other.entry.named() == entry and training(other) == training(student)
    )
    return next(alike, None)


def _early(name: str, raw: Raw, trained: Mapping[str, Student]) -> Student:
    key = f"methods.{name}.early"
    if others := sorted(raw.keys() - {"early"}):
        raise ConfigurationError(
            f"methods.{name}.{others[0]}", "is that of the student that this is early of"
        )
    try:
        early = EarlySettings.model_validate(_section(raw, name, "early"))
    except ValidationError as error:
        raise explained(error, EarlySettings, "methods", name, "early") from error
    if early.of not in trained:
        near = catalogue.suggestion(early.of, list(trained))
        raise ConfigurationError(f"{key}.of", f"no trained student {early.of!r}{near}")
    origin = trained[early.of]
    epochs, method = origin.training.epochs, origin.method
    own_records = method.pool != "member" or "the records" in method.all_changes()
    if origin.training.budget == "steps" and own_records:
        raise ConfigurationError(
            f"{key}.of",
            f"{early.of} has other records than the members and `budget: steps`, so how many "
            "epochs it has is not known beforehand; use `budget: epochs`",
        )
    if epochs < 2:
        count = "one epoch" if epochs else "no epoch"
        raise ConfigurationError(f"{key}.of", f"{early.of} has {count} and so no earlier one")
    if early.epoch >= epochs:
        raise ConfigurationError(
            f"{key}.epoch",
            f"{early.epoch}, but {early.of} ends after {epochs}; allowed: 1 to {epochs - 1}",
        )
    return replace(origin, name=name, own=raw, early=early, made_from=None)


def _section(raw: Raw, name: str, key: str) -> Raw:
    given = raw.get(key, {})
    if not isinstance(given, dict):
        raise ConfigurationError(
            f"methods.{name}.{key}", f"should be a mapping of keys to values, not {given!r}"
        )
    return given


def _changed(settings: S, given: Raw, *key: str) -> S:
    """`settings` with the keys `given` in place of its own."""
    kind = type(settings)
    try:
        return kind.model_validate({**settings.model_dump(), **given})
    except ValidationError as error:
        raise explained(error, kind, *key) from error
