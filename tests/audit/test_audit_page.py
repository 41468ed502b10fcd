"""The page of an audit leads with the verdict, says all that the file says, and stands alone."""

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from audit_verdict import (
    NASTY,
    alone,
    closed,
    example,
    verdict,
    with_nasty_names,
    without_numbers,
)
from PIL import Image

from distilleak.audit.page import page
from distilleak.settings.policy import PolicySettings

VOID = {"meta", "img", "br"}


class Read(HTMLParser):
    """A page taken apart: its elements, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._within: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said: list[str] = []
        self.elements.append((tag, dict(attrs), said))
        if tag not in VOID:
            self.open.append(tag)
            self._within.append(said)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._within.pop()

    def handle_data(self, data: str) -> None:
        for said in self._within:
            said.append(data)

    def texts(self, tag: str, **wanted: str) -> list[str]:
        """The texts of all elements of a kind, with single spaces."""
        return [
            " ".join("".join(said).split())
            for name, attributes, said in self.elements
            if name == tag and all(attributes.get(key) == value for key, value in wanted.items())
        ]

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [found[name] for kind, found, _ in self.elements if kind == tag and name in found]

    def rows(self, table: int) -> list[list[str]]:
        """The cells of a table below its head; value and interval are set apart by a stroke."""
        starts = [place for place, (tag, _, _) in enumerate(self.elements) if tag == "table"]
        ends = [*starts[1:], len(self.elements)]
        found: list[list[str]] = []
        for tag, attributes, said in self.elements[starts[table] : ends[table]]:
            if tag == "tr":
                found.append([])
            elif tag == "td" or (tag == "th" and attributes.get("scope") == "row"):
                found[-1].append("".join(said).strip())
            elif attributes.get("class") == "ends":
                cell = found[-1][-1]
                found[-1][-1] = f"{cell.removesuffix(''.join(said)).strip()} | {''.join(said)}"
        return [row for row in found if row]


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    file = tmp_path / "forest.png"
    Image.new("RGB", (2, 2)).save(file)
    return file


def written(content: dict[str, Any], figure: Path) -> str:
    return page(verdict(content, figure.parent), figure)


def parsed(content: dict[str, Any], figure: Path) -> Read:
    return Read(written(content, figure))


@pytest.mark.parametrize(
    ("decision", "said"),
    [("pass", "✓ Pass"), ("fail", "✗ Fail"), ("investigate", "? Investigate")],
)
def test_the_page_leads_with_word_sign_and_colour_of_the_verdict(
    decision: str, said: str, figure: Path
) -> None:
    found = parsed(example(verdict=decision), figure)
    headings = [kind for kind, _, _ in found.elements if re.fullmatch(r"h\d", kind)]
    assert headings[0] == "h1"
    assert found.texts("h1") == [said]
    assert found.texts("title")[0].startswith(f"{said[2:]}: release-7")
    (banner,) = [
        attributes
        for _, attributes, _ in found.elements
        if (attributes.get("class") or "").startswith("verdict ")
    ]
    assert banner["class"] == f"verdict {decision}"


def test_reasons_and_next_steps_stand_before_everything_else(figure: Path) -> None:
    content = example()
    found = parsed(content, figure)
    items = found.texts("li")
    count = len(content["reasons"]) + len(content["next"])
    assert items[:count] == [*content["reasons"], *content["next"]]
    assert found.texts("h2")[:3] == ["Why", "What to do next", "What an attacker finds"]


def test_a_privacy_officer_reads_counts_of_people(figure: Path) -> None:
    items = parsed(example(), figure).texts("li", **{})
    said = [item for item in items if item.startswith(("v1", "v2", "teacher", "base"))]
    assert any(
        item.startswith(
            "v2 ✗ Fail. Of 1,000 members an attacker finds 84 (61 to 112) and accuses 11 of 1,000 "
            "others. TPR at 1 % FPR is 0.084"
        )
        for item in said
    )
    assert (
        "base, the public model. Of 1,000 members an attacker finds 9 (4 to 17) and accuses 10 of "
        "1,000 others."
    ) in said


def test_all_models_stand_in_one_table_candidates_first(figure: Path) -> None:
    content = example()
    content["models"] = content["models"][::-1]
    rows = parsed(content, figure).rows(0)
    assert [row[0] for row in rows] == ["v3", "v2", "v1", "teacher", "base"]
    assert rows[0] == [
        "v3",
        "? Investigate | 1,400 more",
        "zlib | query",
        "26 | 16 to 41",
        "10 | 5 to 18",
        "0.541 | 0.516 to 0.566",
        "0.21",
        "−0.313 | −0.344 to −0.282",
        "+0.036 | +0.010 to +0.062",
        "+0.030 | −0.005 to +0.065",
    ]
    assert rows[4][1:3] == ["base", "loss | query"]
    assert rows[4][6:9] == ["–", "–", "–"]


def test_every_attack_stands_in_both_tables_and_one_that_was_not_made_is_a_dash(
    figure: Path,
) -> None:
    found, content = parsed(example(), figure), example()
    names = [attack["attack"] for attack in content["models"][0]["attacks"]]
    auc, members = found.rows(1), found.rows(2)
    assert [row[0] for row in auc] == [row[0] for row in members] == names
    last = content["models"][1]["attacks"][-1]
    ends = f"{last['auc']['low']:.3f} to {last['auc']['high']:.3f}"
    assert auc[-1][3] == f"{last['auc']['value']:.3f} | {ends}"
    assert members[-1][3].startswith(f"{1000 * last['tpr']['value']:.0f} | ")
    assert auc[-1][-1] == members[-1][-1] == "–"
    captions = found.texts("caption")
    assert "0.513 on v1, 0.643 on v2, 0.541 on v3, 0.854 on teacher, 0.505 on base." in captions[1]
    assert "12 on v1, 84 on v2, 26 on v3, 312 on teacher, 9 on base." in captions[2]


def test_left_out_attacks_policy_and_versions_are_shown(figure: Path) -> None:
    content = example()
    content["policy"] = {"later": None} | content["policy"] | {"margin": 0.03}
    found = parsed(content, figure)
    assert [list(row) for row in content["left_out"].items()] == found.rows(4)
    policy = {row[0]: row[1:] for row in found.rows(5)}
    assert list(policy) == [*PolicySettings.model_fields, "later"]
    assert policy["max_tpr"][0] == "0.05"
    assert policy["max_tpr"][1].startswith("Limit of the true-positive rate at a false-positive")
    assert policy["margin"][0] == "0.03"
    assert policy["no_leakier_than_base"][0] == "yes"
    assert policy["rules_must_be_shown"][0] == "no"
    assert policy["later"] == ["none", ""]
    assert [list(row) for row in content["versions"].items()] == found.rows(6)


def test_the_confidence_of_the_intervals_is_that_of_the_policy(figure: Path) -> None:
    content = example()
    content["policy"]["level"] = 0.9
    html = written(content, figure)
    assert "in\nbrackets are 90 % intervals" in html
    assert "95 % interval" not in html


def test_threat_models_are_explained(figure: Path) -> None:
    rows = parsed(example(), figure).rows(3)
    assert [row[0] for row in rows] == ["query", "logits", "distribution", "base"]
    assert rows[0][1:] == ["the probability of each token of any text", "nothing"]


def test_captions_and_alternative_texts_say_the_result(figure: Path) -> None:
    found = parsed(example(), figure)
    tables = [kind for kind, _, _ in found.elements if kind == "table"]
    assert len(found.texts("caption")) == len(tables) == 7
    assert found.texts("caption")[0].startswith("v1 passes, v2 fails, v3 is undecided.")
    (alternative,) = found.attributes("img", "alt")
    assert alternative is not None
    assert "v1 passes, v2 fails, v3 is undecided" in alternative
    assert "v2 0.643 (0.619 to 0.667)" in alternative
    assert "never sees a model has 0.511 (0.486 to 0.536)" in alternative


def test_a_closed_gate_is_loud_and_stands_before_the_numbers(figure: Path) -> None:
    content = closed()
    html = written(content, figure)
    found = Read(html)
    warnings = found.texts("p", **{"class": "warning"})
    assert warnings[0].startswith("Do not rely on these numbers.")
    assert "can be distinguished without any model" in warnings[1]
    assert "(dates) has an AUC of 0.910 (0.890 to 0.930)" in warnings[1]
    assert html.index("Do not rely") < html.index("an attacker finds 12")
    assert content["blind"]["explanation"] in found.texts("p")
    assert "zebra" in html


def test_an_open_gate_warns_of_nothing(figure: Path) -> None:
    found = parsed(example(), figure)
    assert found.texts("p", **{"class": "warning"}) == []
    assert (
        "The gate is open. Without a model, the best classifier that never sees one (words) has an "
        "AUC of 0.511 (0.486 to 0.536), where chance is 0.5; what an attack finds beyond this "
        "comes from the model."
    ) in found.texts("p")


def test_what_was_not_measured_is_a_dash(figure: Path) -> None:
    content = without_numbers()
    found = parsed(content, figure)
    shown = " ".join(found.texts("body"))
    assert not re.search(r"\b(None|nan|null|undefined)\b", shown)
    assert shown.count("How many members an attacker finds could not be measured.") == 5
    assert found.rows(0)[0] == ["v1", "✓ Pass", *"––––––––"]


def test_a_number_without_an_interval_is_shown(figure: Path) -> None:
    content = example()
    content["models"][0]["auc"] |= {"low": None, "high": None}
    assert parsed(content, figure).rows(0)[0][5] == "0.513"


def test_a_model_alone_needs_neither_teacher_nor_base(figure: Path) -> None:
    found = parsed(alone(), figure)
    assert "may this distilled model be shipped?" in found.texts("p")[0]
    assert [row[0] for row in found.rows(0)] == ["v1"]
    assert "What to do next" not in found.texts("h2")


def test_names_are_text_and_never_markup(figure: Path) -> None:
    content = with_nasty_names()
    html = written(content, figure)
    found = Read(html)
    assert found.texts("script") == []
    assert "<script" not in html
    (image,) = [set(attributes) for tag, attributes, _ in found.elements if tag == "img"]
    assert image == {"alt", "src"}
    assert found.rows(0)[0][0] == NASTY
    assert NASTY in found.texts("li")
    (alternative,) = found.attributes("img", "alt")
    assert NASTY in str(alternative)


def test_the_page_opens_without_a_network(figure: Path) -> None:
    html = written(example(), figure)
    found = Read(html)
    assert [link for link in found.attributes("img", "src") if link] == [
        link for link in found.attributes("img", "src") if str(link).startswith("data:image/png")
    ]
    assert found.texts("link") == found.texts("script") == found.texts("iframe") == []
    assert "url(" not in html
    assert "@import" not in html
    targets = {str(each["id"]) for _, each, _ in found.elements if "id" in each}
    links = found.attributes("a", "href")
    assert links
    assert {str(link) for link in links} <= {f"#{target}" for target in targets}


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_text_has_enough_contrast_in_both_themes(figure: Path) -> None:
    css = "".join(Read(written(example(), figure)).texts("style"))
    light, dark = css.split("@media screen and (prefers-color-scheme: dark)")
    themes = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in (light, dark)]
    assert themes[0].keys() == themes[1].keys()
    verdicts = ("pass", "fail", "investigate")
    pairs = [
        *itertools.product(("text", "quiet", "link", *verdicts), ("page",)),
        *itertools.product(("text",), ("warning", "box", "code")),
        *((f"{name}", f"{name}-box") for name in verdicts),
        *(("text", f"{name}-box") for name in verdicts),
    ]
    for theme, (text, behind) in itertools.product(themes, pairs):
        darker, lighter = sorted((luminance(theme[text]), luminance(theme[behind])))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, behind)


def test_paper_is_white_in_the_dark_theme_too(figure: Path) -> None:
    html = written(example(), figure)
    assert "@media screen and (prefers-color-scheme: dark)" in html
    assert "@media (prefers-color-scheme: dark)" not in html
    assert "@media print" in html
