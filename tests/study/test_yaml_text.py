"""A configuration file is plain data: nothing in it runs or grows without bounds."""

import time
from pathlib import Path

import pytest

from distilleak.errors import DistilleakError
from distilleak.study import yaml_text


def error_of(text: str) -> str:
    """The error for this text; it is one line, and short."""
    with pytest.raises(DistilleakError) as caught:
        yaml_text.parse(text, "x.yaml")
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 300
    return message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a: 1\nb: !!python/object/apply:os.mkdir ["made"]\n', "x.yaml, line 2: the tag !!python/"),
        ("a: !!python/name:os.system\n", "x.yaml, line 1: the tag !!python/name:os.system is not"),
        ("a: !mine 3\n", "x.yaml, line 1: the tag !mine is not allowed"),
        ("a: !!binary x\n", "x.yaml, line 1: the tag !!binary is not allowed"),
        ("a: !!timestamp 2024-13-45\n", "x.yaml, line 1: the tag !!timestamp is not allowed"),
        ("a: !!set {b}\n", "x.yaml, line 1: the tag !!set is not allowed"),
        ('a: !!int ""\n', "x.yaml, line 1: not a value of the type int that YAML takes it for"),
        ("a: !!bool perhaps\n", "x.yaml, line 1: not a value of the type bool"),
        (f"a: {'9' * 5000}\n", "x.yaml, line 1: not a value of the type int"),
        (f"a: 0x{'f' * 5000}\n", "x.yaml: holds a whole number of more than 1024 bits"),
        ('a: "\\ud800"\n', "x.yaml: '\\ud800' holds half a character"),
        ("a: 1\nb: \0\n", "x.yaml, line 2: not YAML: the character U+0000 is not allowed"),
        ("[a, b]: 1\n", "x.yaml, line 1: a key is text, not a list or a mapping"),
        ("a: *b\n", "x.yaml, line 1: found undefined alias 'b'"),
        ("a: {<<: 3}\n", "x.yaml, line 1: expected a mapping or list of mappings for merging"),
        ("a: 1\n---\nb: 1\n", "x.yaml, line 2: expected a single document in the stream, but"),
        ("a:\n\t- b\n", "x.yaml, line 2: found character '\\t' that cannot start any token"),
    ],
)
def test_what_is_no_plain_data_is_named_with_its_line(text: str, message: str) -> None:
    assert error_of(text).startswith(message)
    assert not Path("made").exists()


def laughs(levels: int) -> str:
    """Ten times ten times ten ... values, written as aliases."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        aliases = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{aliases}]")
    return "\n".join(lines)


MERGES = "\n".join(
    ["a0: &a0 {k: 1}", *(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 40))]
)


@pytest.mark.parametrize(
    "text",
    [
        laughs(9),
        MERGES,
        "a: &a [*a]",
        "a: &a {b: *a}",
        "[" * 100_000,
        "? " * 100_000,
        "{" + "a, " * 100_000,
        "- a\n" * 100_000,
    ],
    ids=[
        "aliases",
        "merges",
        "list-in-itself",
        "mapping-in-itself",
        "deep",
        "keys",
        "wide",
        "long",
    ],
)
def test_a_text_that_stands_for_much_more_than_it_shows_is_refused_at_once(text: str) -> None:
    started = time.process_time()
    assert str(yaml_text.VALUES) in error_of(text)
    assert time.process_time() - started < 10


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text(f"# {'x' * yaml_text.BYTES}\n")
    with pytest.raises(DistilleakError, match=r"large\.yaml: larger than 1048576 bytes"):
        yaml_text.read_yaml(file)


def test_what_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(DistilleakError, match=r": cannot be read: Is a directory$"):
        yaml_text.read_yaml(tmp_path)


def test_an_alias_is_a_copy_so_that_a_change_in_one_place_stays_there(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: &t {epochs: 1}\nb: *t\nc: {<<: *t, epochs: 2}\n")
    found = yaml_text.read_yaml(tmp_path / "x.yaml")
    found["a"]["epochs"] = 5
    assert found == {"a": {"epochs": 5}, "b": {"epochs": 1}, "c": {"epochs": 2}}


def test_text_like_a_date_stays_text() -> None:
    text = "[2024-01-31, 2024-13-45, 2024-01-31 10:00:00]"
    assert yaml_text.parse(text, "x") == ["2024-01-31", "2024-13-45", "2024-01-31 10:00:00"]


def test_json_has_its_own_numbers_and_unique_keys(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"delta": 1e-05, "seeds": [0]}')
    assert yaml_text.read_yaml(file) == {"delta": 1e-05, "seeds": [0]}
    for text, message in (
        ('{"a": 1, "a": 2}', "key 'a' is given twice"),
        ('{"a": 1,\n}', "line 2: not JSON"),
        ("[" * 100_000, "nested more than 32 deep"),
        ('{"__use_yte__": true}', "__use_yte__: a configuration is data"),
    ):
        file.write_text(text)
        with pytest.raises(DistilleakError, match=message):
            yaml_text.read_yaml(file)


def test_expressions_are_refused_and_not_evaluated(tmp_path: Path) -> None:
    made = tmp_path / "made"
    file = tmp_path / "x.yaml"
    file.write_text(f"__use_yte__: true\nstudy: \"?open('{made}', 'w').write('x')\"\n")
    with pytest.raises(DistilleakError, match=r"x\.yaml: __use_yte__: a configuration is data"):
        yaml_text.read_yaml(file)
    assert not made.exists()
