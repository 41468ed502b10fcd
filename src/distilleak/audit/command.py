"""From the words of a command line to the configuration of an audit, and to its last lines."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from distilleak.audit.configuration import BASE, TEACHER, Raw
from distilleak.audit.verdict import Decision
from distilleak.audit.wording import SIGNS, WORDS
from distilleak.errors import DistilleakError
from distilleak.files import atomic
from distilleak.study import yaml_text

STATUS = {"pass": 0, "fail": 3, "investigate": 4}
"""Verdict -> exit status; 1 and 2 are errors."""


_NAMED = re.compile(r"(?:([^=/:\\]+)=)?(.*)", re.DOTALL)


def model(given: str) -> Raw:
    """A model as a configuration says it: a directory, a GGUF file, `hub:ID` or `api:MODEL@URL`."""
    if given.startswith("api:"):
        name, _, url = given.removeprefix("api:").rpartition("@")
        return {"api": url, "model": name}
    if given.startswith("hub:"):
        return {"hub": given.removeprefix("hub:")}
    return {"gguf" if given.endswith(".gguf") else "directory": given}


def students(given: Sequence[str]) -> dict[str, Raw]:
    """Name -> student, from words `NAME=PLACE` or `PLACE`, which is then named after its end.

    What stands before a `=` is a name unless it holds a slash or a colon, as places do.

    Raises:
        DistilleakError: two have one name, or a name is reserved.
    """
    found: dict[str, Raw] = {}
    for word in given:
        name, place = _NAMED.fullmatch(word).groups()  # type: ignore[union-attr]
        if not place:
            raise DistilleakError(f"--student {word}: no place after the name; say NAME=PLACE")
        name = name or _name(place)
        if name in (TEACHER, BASE):
            raise DistilleakError(
                f"--student {word}: {name!r} is the name of another model; say NAME=PLACE"
            )
        if name in found:
            raise DistilleakError(
                f"--student {word}: another student is called {name!r}; say NAME=PLACE"
            )
        found[name] = model(place)
    return found


def sources(given: Mapping[str, Any]) -> dict[str, Raw]:
    """The configuration that a command line describes, and the policy, each by its source.

    Args:
        given: its words, by their names: those of `stages.audit`.

    Raises:
        DistilleakError: a student has no name of its own, or the policy is no YAML.
    """
    models = students(given["student"])
    if given["teacher"] is not None:
        models = {TEACHER: model(given["teacher"]), **models}
    sides = ("members", "nonmembers", "auxiliary")
    audit: Raw = {"models": models}
    audit |= {side: given[side] for side in sides if given[side] is not None}
    if given["base"] is not None:
        audit["base"] = model(given["base"])
    found: Raw = {"study": given["name"], "audit": audit}
    if given["context"] is not None:
        found["encoding"] = {"context": given["context"]}
    every = {"the command line": found}
    if given["policy"] is not None:
        every[given["policy"]] = {"policy": yaml_text.read_yaml(given["policy"])}
    return every


def write(given: Raw, path: Path) -> None:
    """Write a configuration as a file that `snakemake --configfile` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(yaml.safe_dump(given, sort_keys=False, allow_unicode=True))


def summary(verdict: Raw) -> list[str]:
    """The last lines on the screen."""
    lines = [f"{_sign(verdict['verdict'])}: {verdict['study']}"]
    lines += [f"  {reason}" for reason in verdict["reasons"]]
    for each in verdict["models"]:
        if each["verdict"] is not None and len(verdict["models"]) > 1:
            lines += [f"{_sign(each['verdict'])}: {each['name']}"]
            lines += [f"  {reason}" for reason in each["reasons"]]
    return [*lines, *(f"next: {step}" for step in verdict["next"])]


def _sign(verdict: Decision) -> str:
    return f"{SIGNS[verdict]} {WORDS[verdict].upper()}"


def _name(place: str) -> str:
    if place.startswith("api:"):
        place = place.rpartition("@")[0]
    last = re.split(r"[/:\\]", place.rstrip("/"))[-1].removesuffix(".gguf").lower()
    return re.sub(r"[^a-z0-9_-]+", "_", last).strip("_-") or "student"
