"""Which names a configuration may give: those that work as directories, columns and wildcards."""

import pytest
import yaml
from small_study import SMALLEST

from distilleak.errors import DistilleakError
from distilleak.study import reading
from distilleak.study.checks import LONGEST_NAME, TAKEN

SHAPE = {"layers": 1, "width": 32, "heads": 2, "positions": 48}
PAIR = {"teacher": SHAPE, "student": SHAPE}
ENTRIES = {
    "methods": {"method": "kd"},
    "attacks": {"attack": "loss"},
    "pairs": PAIR,
    "corpora": {"source": "sotu"},
    "teachers": {"epochs": 2},
}
LONG = "name_of_the_greatest_length_that_is_allowed_0123"
BAD = (
    "", "-", "_a", ".", "..", "a/b", "a b", "a.b", "a{b}", "{seed}", "a'b", 'a"b', "a\nb", "a\\b",
    "é", "$HOME", "*", "a|b", "--help",
)  # fmt: skip


def read(section: str, names: list[str]) -> str:
    """The error for a study with entries of these names; empty if it is one."""
    raw = yaml.safe_load(SMALLEST)
    if section == "corpora":
        del raw["corpus"]
    raw.setdefault(section, {}).update(dict.fromkeys(names, ENTRIES[section]))
    try:
        reading.read({"x": raw})
    except DistilleakError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("section", ENTRIES)
def test_a_name_of_other_characters_is_refused_in_one_line(section: str) -> None:
    for name in BAD:
        said = read(section, [name])
        assert f"x: {section}: " in said
        assert "is no name; it should match [" in said
        assert said.isprintable()


@pytest.mark.parametrize("section", ENTRIES)
def test_names_have_a_greatest_length(section: str) -> None:
    assert read(section, [LONG]) == ""
    said = read(section, ["n" * (LONGEST_NAME + 1)])
    assert said.startswith(f"x: {section}: 'nnn")
    assert said.endswith("has 49 characters; allowed: at most 48")
    assert len(read(section, ["n" * 10**6])) < 300


def test_names_that_snakemake_takes_for_an_endless_recursion_are_refused() -> None:
    assert read("methods", ["lr_" + "0" * 19]) == ""
    for name in ("lr_" + "0" * 20, "ab" * 20):
        assert "ends in the same characters twenty times" in read("methods", [name])


@pytest.mark.parametrize("section", ENTRIES)
def test_names_that_mean_something_else_are_taken(section: str) -> None:
    for name in TAKEN[section]:
        assert read(section, [name]) == f"x: {section}.{name}: this name is taken; choose another"


def test_the_directory_of_a_pair_is_no_other_pairs_and_no_shadows() -> None:
    assert read("pairs", ["shadow-0"]).startswith("x: pairs.shadow-0: its directory would be shad")
    assert read("pairs", ["Small"]).startswith("x: pairs.Small: differs from small in case alone")
    assert read("pairs", ["shadow", "shadow-a"]) == ""
    raw = yaml.safe_load(SMALLEST)
    del raw["corpus"]
    raw |= {"corpora": {"0": {"source": "sotu"}}, "pairs": {"shadow": PAIR}}
    with pytest.raises(DistilleakError, match=r"pairs\.shadow: its directory would be shadow-0"):
        reading.read({"x": raw})


def test_the_name_of_a_study_is_a_directory() -> None:
    for name in (*BAD, "s" * 101):
        raw = yaml.safe_load(SMALLEST) | {"study": name}
        with pytest.raises(DistilleakError) as caught:
            reading.read({"x": raw})
        assert str(caught.value).startswith("x: study: ")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300


def test_keys_and_values_of_any_size_are_shown_in_one_short_line() -> None:
    for place, value in (
        ("a\nb" * 5000, 1),
        ("references", "x\n" * 5000),
        ("seeds", ["x" * 10**5]),
        ("figures", {"headline_attack": "x" * 10**5}),
        ("figures", {"x" * 10**5: 3}),
        ("vulnerability", {"attack": "a\tb" * 10**4}),
        ("methods", {"kd": {"teacher": list(range(10**4))}}),
        ("methods", {"kd": {"training": list(range(10**4))}}),
        ("methods", {"kd": {"method": "x" * 10**4}}),
        ("ensembles", {"subsets": {"two": ["x" * 10**4, "kd"]}}),
        ("seeds", [0] * 900),
    ):
        raw = yaml.safe_load(SMALLEST) | {place: value}
        with pytest.raises(DistilleakError) as caught:
            reading.read({"x": raw})
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 800
