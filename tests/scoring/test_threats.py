"""Every attack names a threat model, and what the documents say of them is what the code says."""

import re
from pathlib import Path

import pytest

from distilleak import catalogue
from distilleak.attacks.base import Needs
from distilleak.scoring.threats import THREATS
from distilleak.study.closure import import_closure

ROOT = Path(__file__).parents[2]
ATTACKS = catalogue.names("attacks")
OF = {name: catalogue.load("attacks", name).THREAT for name in ATTACKS}
OF_NO_ATTACK = {"several": "votes of ensembles", "weights": "none: they need less"}


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the rows of the only Markdown table whose first column is called `head`."""
    (table,) = re.findall(rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


@pytest.mark.parametrize("document", ["README.md", "docs/attacks.md"])
def test_a_document_has_the_threat_models_of_the_code_and_every_attack_once(document: str) -> None:
    found = rows((ROOT / document).read_text(), "threat model")
    assert [names(row[0]) for row in found] == [[name] for name in THREATS]
    for (cell, *said, attacks), (name, threat) in zip(found, THREATS.items(), strict=True):
        assert said == [threat.holds, threat.knows, threat.trains], cell
        if name in OF_NO_ATTACK:
            assert attacks == OF_NO_ATTACK[name]
        else:
            assert sorted(names(attacks)) == sorted(a for a in ATTACKS if OF[a] == name)
            assert attacks == ", ".join(f"`{attack}`" for attack in names(attacks))


def test_the_table_of_costs_has_every_attack_with_its_threat_model() -> None:
    text = (ROOT / "docs/attacks.md").read_text().partition("## What each finds")[0]
    found = {names(row[0])[0]: names(row[1]) for row in rows(text, "attack")}
    assert found == {name: [threat] for name, threat in OF.items()}


def test_every_threat_model_but_those_of_whole_results_is_that_of_an_attack() -> None:
    assert set(OF.values()) == THREATS.keys() - OF_NO_ATTACK.keys()


@pytest.mark.parametrize("name", ATTACKS)
def test_a_threat_model_allows_what_an_attack_needs(name: str) -> None:
    needs: Needs = catalogue.load("attacks", name).NEEDS
    threat = THREATS[OF[name]]
    # Views other than `lower` are made from the auxiliary pool, which is of the same distribution.
    from_auxiliary = set(needs.views) - {"plain", "lower"}
    if needs.population or needs.references or needs.frequencies or from_auxiliary:
        assert "texts of the members' distribution" in threat.knows
    assert ("some of the members" in threat.knows) == ("prefix_member" in needs.views)
    assert ("reference models" in threat.trains) == bool(needs.references)
    assert ("teachers and students" in threat.trains) == bool(needs.shadows)
    assert threat.student_alone != needs.teacher
    assert ("student and teacher" in threat.holds) == needs.teacher


def test_no_scoring_depends_on_what_is_said_of_threat_models() -> None:
    package = ROOT / "src" / "distilleak"
    (file,) = package.glob("scoring/threats.py")
    for stage in ("score_attacks", "score_vote", "find_vulnerable", "measure_metrics"):
        assert file not in import_closure(package, f"stages.{stage}")
    for name in ATTACKS:
        assert file not in import_closure(package, f"attacks.{name}")
