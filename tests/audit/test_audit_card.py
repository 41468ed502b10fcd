"""The text for model cards: a complete section a candidate, without what is private."""

import re
from pathlib import Path
from typing import Any

import pytest
from audit_verdict import alone, closed, example, verdict, with_nasty_names, without_numbers

from distilleak.audit.card import card, escaped


def section(content: dict[str, Any], directory: Path, number: int = 0) -> str:
    parts = re.split(r"(?m)^(?=## )", card(verdict(content, directory)))
    assert parts[0] == ""
    return parts[1 + number]


def rows(text: str) -> dict[str, str]:
    found = re.findall(r"^\| (.+?) \| (.+?) \|$", text, re.M)
    return dict(found[1:])


def test_every_candidate_has_a_section_and_no_other_model_has(tmp_path: Path) -> None:
    text = card(verdict(example(), tmp_path))
    assert re.findall(r"^## .+", text, re.M) == [
        f"## Membership inference: {name}" for name in ("v1", "v2", "v3")
    ]
    assert text.endswith("\n")


def test_a_section_says_attack_rates_records_versions_and_verdict(tmp_path: Path) -> None:
    content = example()
    text = section(content, tmp_path, 1)
    assert text.splitlines()[2] == (
        "**✗ Fail.** Of 1,000 members an attacker finds 84 (61 to 112) and accuses 11 of 1,000 "
        "others."
    )
    assert rows(text) == {
        "strongest attack, picked on other records": "min_k_pp (logits)",
        "TPR at 1 % FPR": "8.4 % (6.1 % to 11.2 %)",
        "FPR that was measured": "1.1 % (0.5 % to 2.0 %)",
        "AUC (chance: 0.5)": "0.643 (0.619 to 0.667)",
        "AUC of the best classifier without a model": "0.511 (0.486 to 0.536)",
        "AUC, minus that of the teacher": "−0.211 (−0.243 to −0.179)",
        "AUC, minus that of the base": "+0.138 (+0.109 to +0.167)",
        "lower bound on epsilon at delta 1e-05": "1.37",
        "records": "1,000 members, 1,000 non-members",
    }
    assert "\n| measure | value (95 % interval) |\n" in text
    assert (
        "\nPolicy: max_tpr 0.05, max_auc 0.55, max_epsilon 1, no_leakier_than_teacher yes, " in text
    )
    attacks = ", ".join(attack["attack"] for attack in content["models"][1]["attacks"])
    assert f"\nAttacks that were made: {attacks}.\n" in text
    assert "\nNot tested: lira_offline, lira_online, con_recall, attack_p; " in text
    versions = ", ".join(f"{name} {each}" for name, each in content["versions"].items())
    assert f"\nVersions: {versions}.\n" in text


@pytest.mark.parametrize("number", range(3))
def test_a_section_names_no_other_candidate(number: int, tmp_path: Path) -> None:
    text = section(example(), tmp_path, number)
    assert set(re.findall(r"\bv[123]\b", text)) == {f"v{number + 1}"}


def test_a_closed_gate_is_said_without_words_of_records(tmp_path: Path) -> None:
    text = section(closed(), tmp_path)
    assert "**? Investigate.**" in text
    assert "Members and other records differ by themselves" in text
    assert rows(text)["AUC of the best classifier without a model"] == "0.910 (0.890 to 0.930)"
    assert "zebra" not in text
    assert "differ by themselves" not in section(example(), tmp_path)


def test_what_was_not_measured_is_a_dash(tmp_path: Path) -> None:
    text = section(without_numbers(), tmp_path)
    assert not re.search(r"\b(None|nan|null)\b", text)
    found = rows(text)
    assert found.pop("records") == "1,000 members, 1,000 non-members"
    assert set(found.values()) == {"–"}
    assert "lower bound on epsilon" in found


def test_a_model_alone_has_its_section(tmp_path: Path) -> None:
    text = card(verdict(alone(), tmp_path))
    assert text.count("## ") == 1
    assert rows(text)["AUC, minus that of the teacher"] == "–"


def test_names_do_not_become_markup(tmp_path: Path) -> None:
    text = section(with_nasty_names(), tmp_path)
    heading, *others = text.splitlines()
    assert heading == (
        r"## Membership inference: \<script\>alert('1')\</script\> \| \$x\$ \`a\` \*b\* \& "
        r'\[d\](http://e) " onerror="e'
    )
    assert not re.search(r"(?<!\\)[<>`&]", text)
    cells = [re.findall(r"(?<!\\)\|", line) for line in others if line.startswith("|")]
    assert {len(bars) for bars in cells} == {3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("min_k_pp", "min_k_pp"),
        ("_a_", r"\_a\_"),
        ("a\n# b", r"a \# b"),
        ("a\\|b", r"a\\\|b"),
        ("~~a~~", r"\~\~a\~\~"),
    ],
)
def test_text_is_escaped_where_markdown_would_read_it(text: str, expected: str) -> None:
    assert escaped(text) == expected
