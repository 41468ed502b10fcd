"""config/config.yaml shows and explains every key, and agrees with the defaults."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from distilleak import catalogue
from distilleak.study import reading
from distilleak.study.configuration import Configuration

FILE = Path(__file__).parents[2] / "config" / "config.yaml"
TEXT = FILE.read_text()
SECTIONS = {"methods": "methods", "attacks": "attacks", "corpora": "corpus"}


def models(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """`kind` and every settings class that it holds."""
    yield kind
    for field in kind.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from models(part)


def parameters() -> Iterator[tuple[str, type[BaseModel]]]:
    """The settings of every method, attack and corpus, with their names."""
    for package in SECTIONS:
        for name in catalogue.names(package):
            yield f"{SECTIONS[package]}.{name}", catalogue.load(package, name).Parameters


def keys() -> list[str]:
    kinds = [*models(Configuration), *(kind for _, kind in parameters())]
    return sorted({key for kind in kinds for key in kind.model_fields})


def defaults(
    kind: type[BaseModel], value: dict[str, Any], at: str
) -> Iterator[tuple[str, Any, Any]]:
    """(key, value, default) of every given key that has a default, at any depth."""
    for key, given in value.items():
        field = kind.model_fields[key]
        inner = [
            part
            for part in (field.annotation, *get_args(field.annotation))
            if isinstance(part, type) and issubclass(part, BaseModel)
        ]
        if inner and field.annotation is inner[0]:
            yield from defaults(inner[0], given, f"{at}{key}.")
        elif inner:
            for name, entry in given.items():
                yield from defaults(inner[0], entry, f"{at}{key}.{name}.")
        elif field.default is not PydanticUndefined:
            yield f"{at}{key}", given, field.default


def filled(value: Any) -> Any:
    """Without the keys that are left out by default, which the file shows as comments."""
    if not isinstance(value, dict):
        return value
    return {key: filled(part) for key, part in value.items() if part not in (None, {})}


@pytest.mark.parametrize("key", keys())
def test_it_shows_every_key_with_a_comment(key: str) -> None:
    lines = [line for line in TEXT.splitlines() if re.search(rf"(^|[ {{#]){key}:", line)]
    assert lines, f"{key} is not in config.yaml"
    # A section need not have a comment if its keys have.
    said = any("#" in line or line.endswith(f"{key}:") for line in lines)
    assert said, f"no comment says what {key} is"


def test_it_gives_every_key_of_every_section() -> None:
    given = yaml.safe_load(TEXT)
    study = reading.load(given, {str(FILE): given})
    complete = filled(study.configuration.model_dump(mode="json"))
    for section in ("methods", "attacks", "corpus"):
        complete[section] = given[section] = None
    assert given == complete


def test_its_values_are_the_defaults() -> None:
    given = yaml.safe_load(TEXT)
    entries = {section: given.pop(section) for section in ("methods", "attacks", "corpus")}
    found = [*defaults(Configuration, given, "")]
    for place, kind in parameters():
        section, name = place.split(".")
        entry = entries[section].get(name, {}) if section != "corpus" else {}
        found += defaults(kind, entry, f"{place}.")
    # The default study has ensembles, public records and many attacks, which other studies need
    # not have, and starts from base models, which have rates and epochs of their own. Its subset
    # is as large as what `nonvulnerable` keeps.
    differing = {key for key, value, default in found if value != default}
    tuned = {
        f"training.{role}.{key}"
        for role in ("teacher", "student", "reference")
        for key in ("epochs", "learning_rate")
    }
    extra = {"ensembles.subsets", "pools.population", "pools.public", "references"}
    extra |= {"methods.subset.share"}
    assert differing == extra | tuned
    assert len(found) > 40
