"""The stage that writes page, card and figure of an audit."""

import json
from pathlib import Path

import pytest
from audit_verdict import EXAMPLE, example
from PIL import Image

from distilleak.audit.card import card
from distilleak.audit.page import page
from distilleak.audit.verdict import read
from distilleak.errors import DistilleakError
from distilleak.stages.write_audit import main


def options(verdict: Path, directory: Path) -> list[str]:
    written = {"report": "report.html", "card": "card.md", "figures": "figures"}
    words = [word for name, file in written.items() for word in (f"--{name}", directory / file)]
    return [*map(str, ["--verdict", verdict, *words]), "--style", '{"dpi": 60}']


def test_page_card_and_figures_are_written(tmp_path: Path) -> None:
    main(options(EXAMPLE, tmp_path))
    figures = tmp_path / "figures"
    assert {file.name for file in figures.iterdir()} == {"forest.png", "forest.pdf"}
    with Image.open(figures / "forest.png") as image:
        assert image.width == 420
    verdict = read(EXAMPLE)
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == card(verdict)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html == page(verdict, figures / "forest.png")


def test_a_verdict_of_another_version_leaves_nothing_written(tmp_path: Path) -> None:
    file = tmp_path / "verdict.json"
    file.write_text(json.dumps(example(schema=2)))
    with pytest.raises(DistilleakError, match=r"verdict\.json: key 'schema' is 2"):
        main(options(file, tmp_path))
    assert list(tmp_path.iterdir()) == [file]
