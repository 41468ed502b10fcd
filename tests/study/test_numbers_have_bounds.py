"""No number of a configuration may be absurd: each has bounds, which the refusal states."""

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_study import SMALLEST

from distilleak.errors import DistilleakError
from distilleak.study import reading
from distilleak.study.schema import schema

CONFIG = Path(__file__).parents[2] / "config"
ABSURD = (10**18, 10**30, -(10**18), 1e300, -1e300, math.inf, -math.inf, math.nan)


def numbers_of(value: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Where the schema allows a number, and what it says of it."""
    if isinstance(value, dict):
        kinds = value.get("type", [])
        if {"integer", "number"} & set([kinds] if isinstance(kinds, str) else kinds):
            yield place, value
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers_of(part, f"{place}/{key}")


NUMBERS = dict(numbers_of(schema()))


def test_the_schema_has_the_numbers_of_all_sections_and_modules() -> None:
    wanted = ("TrainingSettings", "ArchitectureSettings", "attack-wbc", "method-bottleneck")
    assert len(NUMBERS) > 150
    for name in (*wanted, "source-records", "corpus-hub", "GateSettings", "EarlySettings"):
        assert any(name in place for place in NUMBERS), name


@pytest.mark.parametrize("place", NUMBERS)
def test_every_number_has_a_least_and_a_greatest_value(place: str) -> None:
    said = NUMBERS[place]
    least = said.get("minimum", said.get("exclusiveMinimum"))
    greatest = said.get("maximum", said.get("exclusiveMaximum"))
    assert least is not None
    assert greatest is not None
    assert -(2**63) <= least < greatest < 2**63


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where numbers stand."""
    if isinstance(value, dict | list):
        for key in value.keys() if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*place, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place


def complete(name: str) -> dict[str, Any]:
    """A configuration with every default written out."""
    raw = yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    raw["hardware"] = {"micro_batch": 4}
    raw["split_seed"] = 1
    raw["training"]["teacher"]["privacy"] = {"epsilon": 8.0}
    teacher = raw["pairs"][next(iter(raw["pairs"]))]["teacher"]
    if "layers" in teacher:
        teacher["options"] = {"n_inner": 64, "scale": 0.5}
    return reading.read({"x": raw}).complete()


@pytest.mark.parametrize("name", ["config", "bases", "canaries", "shadow"])
def test_an_absurd_number_is_refused_with_its_key_and_what_is_allowed(name: str) -> None:
    whole = complete(name)
    found = list(leaves(whole))
    assert len(found) > 80
    for *sections, last in found:
        for absurd in ABSURD:
            raw = copy.deepcopy(whole)
            place = raw
            for key in sections:
                place = place[key]
            place[last] = absurd
            with pytest.raises(DistilleakError) as caught:
                reading.read({"x": raw})
            message = str(caught.value)
            assert message.startswith(f"x: {sections[0] if sections else last}"), message
            assert "should" in message, message
            assert len(message) < 300


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("training.student.epochs", 10**18, "should be less than or equal to 100000, not 1000000"),
        (
            "training.student.learning_rate",
            1e300,
            "should be less than or equal to 100, not 1e+30",
        ),
        ("evidence.shards", 10**5, "should be less than or equal to 1000, not 100000"),
        ("seeds", [2**63], "should be less than or equal to 4294967295, not 9223372036854775808"),
        ("seeds", list(range(1001)), "List should have at most 1000 items after validation"),
        ("evaluation.folds", 10**9, "should be less than or equal to 1000, not 1000000000"),
        ("pools.member", 10**12, "should be less than or equal to 1000000000, not 1000000000000"),
        ("references", 10**6, "should be a whole number from 0 to 1000, or `base`, not 1000000"),
        ("pairs.small.teacher.layers", 10**6, "should be less than or equal to 1000, not 1000000"),
        (
            "pairs.small.teacher.options",
            {"n_inner": 10**18},
            "should be text, true, false, or a number from -1000000000 to 1000000000, not 10000000",
        ),
    ],
)
def test_the_refusal_says_what_is_allowed(key: str, value: Any, message: str) -> None:
    raw = yaml.safe_load(SMALLEST)
    *sections, last = key.split(".")
    place = raw
    for name in sections:
        place = place.setdefault(name, {})
    place[last] = value
    with pytest.raises(DistilleakError) as caught:
        reading.read({"x": raw})
    assert str(caught.value).startswith(f"x: {key}")
    assert f": {message}" in str(caught.value)


def test_large_studies_are_within_the_bounds() -> None:
    raw = yaml.safe_load(SMALLEST)
    raw["seeds"] = list(range(100))
    raw["shadows"] = 256
    raw["evidence"]["shards"] = 512
    raw["evidence"]["batch_tokens"] = 2**20
    raw["pools"] = dict.fromkeys(("member", "nonmember", "holdout", "auxiliary"), 10**8)
    raw["evaluation"] = {"replicates": 100_000}
    shape = {"layers": 126, "width": 16384, "heads": 128, "positions": 131072}
    raw["pairs"] = {"large": {"teacher": shape, "student": shape}}
    raw["training"]["student"] = {"epochs": 1000, "batch_size": 65536, "learning_rate": 1.0}
    assert reading.read({"x": raw}).configuration.shadows == 256
