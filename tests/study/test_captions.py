"""The captions of Snakemake's own report are those of the figures."""

from pathlib import Path

import docutils.nodes
import jinja2
import pytest
from docutils.core import publish_doctree

import distilleak
from distilleak import catalogue
from distilleak.study.captions import caption

PACKAGE = Path(distilleak.__path__[0])
TEMPLATE = Path(__file__).parents[2] / "workflow" / "report" / "figure.rst"


@pytest.mark.parametrize("figure", catalogue.names("figures"))
def test_a_caption_is_that_of_the_figure(figure: str) -> None:
    assert caption(PACKAGE, figure) == catalogue.load("figures", figure).CAPTION


@pytest.mark.parametrize("figure", catalogue.names("figures"))
def test_the_report_shows_a_caption_word_for_word(figure: str) -> None:
    job = {"params": {"caption": caption(PACKAGE, figure)}}
    text = jinja2.Template(TEMPLATE.read_text(encoding="utf-8")).render(snakemake=job)
    document = publish_doctree(text, settings_overrides={"report_level": 1, "halt_level": 1})
    (paragraph,) = document.findall(docutils.nodes.paragraph)
    assert paragraph.astext() == caption(PACKAGE, figure)
