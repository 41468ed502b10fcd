"""The base models that pairs start from: those of the study, and those of the package."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import ValidationError

import distilleak
from distilleak import catalogue, paths
from distilleak.settings.architecture import (
    ArchitectureSettings,
    BaseStartSettings,
    CheckpointSettings,
    GivenPairSettings,
    Kind,
    PairSettings,
)
from distilleak.settings.bases import BaseSettings
from distilleak.settings.problems import ConfigurationError, explained, shown
from distilleak.study import corpora
from distilleak.study.configuration import Configuration
from distilleak.study.corpora import Texts

PACKAGE = "distilleak"
SHIPPED = "bases"
"""Directory of the package with a directory for each base that comes with it."""
ROLES = ("teacher", "student", "reference")
RECIPE = "recipe.json"
"""What a base of the package was made from: an entry of `bases`, and the tokenizer's settings."""


@dataclass(frozen=True)
class Base:
    """A base model.

    Attributes:
        name: as the configuration names it.
        settings: what it is made from.
        texts: the public texts that it has learned from.
        group: the base whose directory holds these texts and the tokenizer: the first of those with
            the same ones.
        directory: of the model: below that of the study, or `package:path`.
        shipped: whether it comes with the package, so that nothing is trained.
        vocabulary: tokens of its tokenizer; None if that of a checkpoint that it goes on from.
    """

    name: str
    settings: BaseSettings
    texts: Texts
    group: str
    directory: str
    shipped: bool
    vocabulary: int | None

    @property
    def kind(self) -> Kind | None:
        """Whether it predicts the next token or masked ones; None for one of a checkpoint's."""
        model = self.settings.model
        return model.kind if isinstance(model, ArchitectureSettings) else None


def resolve(configuration: Configuration) -> dict[str, Base]:
    """Name -> base: all of the configuration, and those of the package that a pair starts from.

    Raises:
        ConfigurationError: an entry is wrong, or a pair starts from a base that is not there.
    """
    shipped = _shipped()
    own = {
        name: (settings, configuration.tokenizer.vocabulary)
        for name, settings in configuration.bases.items()
    }
    given = dict(own)
    for key, name in _wanted(configuration):
        if name in given:
            continue
        if name not in shipped:
            raise ConfigurationError(
                key,
                f"no base {shown(name)} among `bases` or those of the package"
                f"{catalogue.suggestion(name, [*given, *shipped])}",
            )
        given[name] = shipped[name]
    found: dict[str, Base] = {}
    for name, (settings, tokens) in given.items():
        texts = corpora.texts(f"bases.{name}.corpus", settings.corpus)
        alike = (
            other.group
            for other in found.values()
            if other.texts == texts
            and _reads(other.settings) == _reads(settings)
            and other.shipped == (name not in own)
        )
        home = paths.base_directory(paths.study_directory(configuration.study), name)
        found[name] = Base(
            name,
            settings,
            texts,
            next(alike, name),
            str(home / "model") if name in own else f"{PACKAGE}:{SHIPPED}/{name}",
            name not in own,
            tokens if isinstance(settings.model, ArchitectureSettings) else None,
        )
        if name in own:
            _check(found[name])
    return found


def located(
    pairs: Mapping[str, GivenPairSettings], bases: Mapping[str, Base]
) -> dict[str, PairSettings]:
    """The pairs with the directory of a model in place of the name of each base."""

    def locate(role: object) -> object:
        if not isinstance(role, BaseStartSettings):
            return role
        return CheckpointSettings.model_construct(
            directory=bases[role.base].directory, init=role.init
        )

    return {
        name: PairSettings.model_construct(
            teacher=locate(pair.teacher),
            student=locate(pair.student),
            reference=locate(pair.reference),
        )
        for name, pair in pairs.items()
    }


def shapes(
    pairs: Mapping[str, GivenPairSettings], bases: Mapping[str, Base]
) -> dict[str, dict[str, ArchitectureSettings]]:
    """Pair -> role -> shape, of all models whose shape the configuration gives, bases included."""

    def shape(role: object) -> object:
        return bases[role.base].settings.model if isinstance(role, BaseStartSettings) else role

    return {
        name: {
            role: found
            for role in ROLES
            if isinstance(found := shape(getattr(pair, role)), ArchitectureSettings)
        }
        for name, pair in pairs.items()
    }


def check_tokenizers(pairs: Mapping[str, GivenPairSettings], bases: Mapping[str, Base]) -> None:
    """Check that no pair mixes the tokenizer of a base with another.

    Raises:
        ConfigurationError: one does.
    """
    for name, pair in pairs.items():
        starts = {role: getattr(pair, role) for role in ROLES}
        given = {
            role: start for role, start in starts.items() if isinstance(start, BaseStartSettings)
        }
        own = {role: bases[start.base].group for role, start in given.items()}
        if len(set(own.values())) > 1:
            named = ", ".join(f"{role} {given[role].base}" for role in given)
            used = [bases[start.base] for start in given.values()]
            if any(base.kind is None for base in used):
                why = (
                    "different tokenizers, since one that goes on from a pretrained model has that "
                    "one's; the models of a pair must share one, so let these bases go on from the "
                    "same model and give them the same corpus"
                )
            elif len({base.shipped for base in used}) > 1:
                why = (
                    "different tokenizers, since those of the package have one of their own; the "
                    "models of a pair must share one"
                )
            else:
                why = (
                    "tokenizers trained on different texts; the models of a pair must share one, "
                    "so give these bases the same corpus"
                )
            raise ConfigurationError(f"pairs.{name}", f"the bases ({named}) have {why}")
        other = [role for role, start in starts.items() if isinstance(start, CheckpointSettings)]
        if other and given:
            role = next(iter(given))
            raise ConfigurationError(
                f"pairs.{name}.{other[0]}",
                f"a pretrained model has a tokenizer of its own, and base {given[role].base} (the "
                f"{role}) another; the models of a pair must share one",
            )


def vocabulary(
    configuration: Configuration, pair: GivenPairSettings, bases: Mapping[str, Base]
) -> int | None:
    """The tokens of a pair's tokenizer; None if it is that of a checkpoint not yet read."""
    starts = [getattr(pair, role) for role in ROLES]
    if any(isinstance(start, CheckpointSettings) for start in starts):
        return None
    known = {bases[s.base].vocabulary for s in starts if isinstance(s, BaseStartSettings)}
    return next(iter(known), configuration.tokenizer.vocabulary)


def tokenizer_of(pair: GivenPairSettings, bases: Mapping[str, Base]) -> str:
    """The base of the study whose directory holds the tokenizer of a pair; empty if none does."""
    starts = [getattr(pair, role) for role in ROLES]
    used = [bases[start.base] for start in starts if isinstance(start, BaseStartSettings)]
    return next((base.group for base in used if not base.shipped), "")


def _wanted(configuration: Configuration) -> list[tuple[str, str]]:
    """(key, name) of the bases that pairs start from."""
    return [
        (f"pairs.{name}.{role}.base", start.base)
        for name, pair in configuration.pairs.items()
        for role in ROLES
        if isinstance(start := getattr(pair, role), BaseStartSettings)
    ]


def _reads(settings: BaseSettings) -> object:
    """What decides, besides its texts, which tokenizer a base has."""
    model = settings.model
    return model.kind if isinstance(model, ArchitectureSettings) else model


def _check(base: Base) -> None:
    model, row = base.settings.model, base.settings.training.row
    if not isinstance(model, ArchitectureSettings):
        return
    added = 2 if model.kind == "masked" else 1
    if model.positions < row + added:
        raise ConfigurationError(
            f"bases.{base.name}.model.positions",
            f"{model.positions} is too short: training.row ({row}) and {added} more need "
            f"{row + added}",
        )


@cache
def _shipped() -> dict[str, tuple[BaseSettings, int]]:
    """Name -> what it was made from, and the tokens of its tokenizer, of the package's bases."""
    place = Path(distilleak.__file__).parent / SHIPPED
    found = {}
    for file in sorted(place.glob(f"*/{RECIPE}")):
        raw = json.loads(file.read_text(encoding="utf-8"))
        try:
            settings = BaseSettings.model_validate(raw["base"])
        except ValidationError as error:
            raise explained(error, BaseSettings, str(file)) from error
        found[file.parent.name] = (settings, int(raw["tokenizer"]["vocabulary"]))
    return found
