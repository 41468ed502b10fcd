"""Whatever a configuration file holds, it is a study or one short line, never a traceback."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_study import SMALLEST

from distilleak.errors import DistilleakError
from distilleak.study import reading, roles, yaml_text
from distilleak.study.plan import Plan

CONFIG = Path(__file__).parents[2] / "config"
TEXTS = [SMALLEST, *((CONFIG / f"{name}.yaml").read_text() for name in ("smoke", "canaries"))]
RAWS: list[dict[str, Any]] = [
    yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    for name in ("smoke", "canaries", "factorial", "masked", "paper", "shadow", "smollm2")
]
WORDS = (
    "&a ", "*a", "<<: *a\n", "<<: 3\n", "<<", "!!python/name:os.system ", "!!binary x", "!!set {a}",
    "!!int x", "!!float x", "!!bool x", "!!omap [a: 1]", "2024-13-45", "? [a, b]\n: c\n", "- ",
    "\t", "---\n", "...\n", "%YAML 9.9\n", '"\\ud800"', '"\\x00"', "\0", "\x85", "\u2028", "\ufeff",
    "{", "}", "[", "]", ": ", " #", "|\n", ">\n", '"', "'", "@", "`", "%", "!", "? ", "9" * 5000,
    "0x" + "f" * 5000, "1e999", ".inf", ".nan", "~", "null", "on: 1\n", "1:1:1", "&a [*a]",
    "&a {x: *a}", "[" * 50, "{a: " * 50, "\n  ", "\n", "=", "null: 3\n", "1.5: 3\n", "[1]: 3\n",
    '"": 3\n', '"a\\nb": 3\n', '"a.b": 3\n', '"[key]": 1\n', '"[checkpoint]": 3\n', "é", "x" * 3000,
)  # fmt: skip
"""Pieces of text that mean something in YAML, or that it takes for something."""
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 10**18, 10**30, 2**63, -(2**63), 1e300, -1e300, float("inf"),
    float("nan"), 0.5, "", "x", "none", "[key]", "[checkpoint]", "a\nb", "x" * 5000, "{x}",
    "\u2028", "%s", "1e-3", "nan", "1e999999", "0", [], [1], ["a"], [[]], [None], {}, {"a": 1},
    {"": 1}, {1: 2}, {None: 3}, {True: 1}, {"a\nb": 1}, {"[key]": 1}, {"method": "kd"},
    {"method": ["kd"]}, {"source": "local", "path": "x"}, {"source": {}},
    {"early": {"of": "kd", "epoch": 1}}, {"early": 3}, {"teacher": ["x"]}, {"teacher": {}},
    {"init": "teacher_layers", "layers": 1},
    {"hub": "x"}, {"directory": "x"}, {"init": []}, list(range(2000)),
    {str(number): number for number in range(999)},
)  # fmt: skip
"""What may stand where something else is expected."""
FEW = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "x.yaml"


def expect_a_study_or_one_line(read: Any) -> None:
    try:
        raw = read()
        plan = Plan(reading.read({"x.yaml": raw}))
        roles.roster(plan)
        assert reading.read({"again": plan.study.complete()}).complete() == plan.study.complete()
    except DistilleakError as error:
        message = str(error)
        assert message.isprintable(), message
        assert len(message) < 900, message


@st.composite
def mutated_texts(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 30))
        word = draw(st.sampled_from(("", text[start:end] * 2, *WORDS)))
        text = text[:start] + word + text[end:]
    return text


@FEW
@given(text=mutated_texts())
def test_a_mutated_text_is_a_study_or_one_line(text: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8")
    expect_a_study_or_one_line(lambda: yaml_text.read_yaml(file))


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the values of a structure stand, the outermost left out."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield (*place, key)
        if isinstance(value[key], dict | list):
            yield from places(value[key], (*place, key))


@st.composite
def mutated_structures(draw: st.DrawFn) -> dict[Any, Any]:
    raw = copy.deepcopy(draw(st.sampled_from(RAWS)))
    for _ in range(draw(st.integers(1, 3))):
        *sections, last = draw(st.sampled_from(list(places(raw)) or [("study",)]))
        place: Any = raw
        for key in sections:
            place = place[key]
        change = draw(st.sampled_from(("value", "value", "none", "key")))
        if change == "value":
            place[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif change == "none":
            place.pop(last, None) if isinstance(place, dict) else place.pop(last)
        elif isinstance(place, dict) and last in place:
            names = [value for value in VALUES if not isinstance(value, dict | list)]
            place[draw(st.sampled_from(names))] = place.pop(last)
    return raw


@FEW
@given(raw=mutated_structures())
def test_a_mutated_structure_is_a_study_or_one_line(raw: dict[Any, Any]) -> None:
    expect_a_study_or_one_line(lambda: raw)


@given(parts=st.lists(st.sampled_from(("a", "b: ", *WORDS)), max_size=12))
@FEW
def test_a_command_line_value_is_data_or_one_line(parts: list[str]) -> None:
    def read() -> dict[str, Any]:
        return reading.typed({"pools": {"member": "".join(parts)}, "seeds": ["".join(parts)]})

    expect_a_study_or_one_line(read)
