"""The figure of an audit draws what verdict.json has, against the blind bar and the limit."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
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
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from distilleak.audit import forest
from distilleak.figures import _style
from distilleak.settings.figures import FigureSettings


def drawn(content: dict[str, Any], directory: Path) -> Figure:
    return forest.draw(verdict(content, directory), FigureSettings())


def panels(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title().split(":")[0]: axes for axes in figure.axes if axes.axison}


def points(axes: Axes) -> dict[str, tuple[float, float, float]]:
    """Row -> value, low, high of what is drawn in a panel."""
    names = [label.get_text() for label in axes.get_figure().axes[0].get_yticklabels()]
    found = {}
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        line, _, bars = container.lines
        ((low, row), (high, _)) = bars[0].get_segments()[0]
        found[names[round(float(row))]] = (float(line.get_xdata()[0]), float(low), float(high))
    return found


def lines(axes: Axes, colour: str) -> list[float]:
    """Where the panel has vertical lines of a colour."""
    return [
        float(line.get_xdata()[0])
        for line in axes.lines
        if to_hex(line.get_color()).lower() == colour.lower()
        and len(line.get_xdata()) == 2
        and line.get_xdata()[0] == line.get_xdata()[1]
    ]


def test_every_attack_and_the_picking_attacker_are_drawn_with_their_intervals(
    tmp_path: Path,
) -> None:
    content = example()
    content["models"] = content["models"][2:] + content["models"][:2]
    found = panels(drawn(content, tmp_path))
    assert list(found) == ["v3", "v1", "v2", "teacher", "base"]
    for model in content["models"]:
        wanted = {forest.PICKS: model["auc"]}
        wanted |= {attack["attack"]: attack["auc"] for attack in model["attacks"]}
        shown = points(found[model["name"]])
        assert shown.keys() == wanted.keys()
        for name, estimate in wanted.items():
            expected = [estimate[end] for end in ("value", "low", "high")]
            np.testing.assert_allclose(shown[name], expected, atol=1e-12)


def test_the_blind_bar_and_the_limit_stand_in_every_panel(tmp_path: Path) -> None:
    content = closed()
    blind = content["blind"]
    for axes in panels(drawn(content, tmp_path)).values():
        (band,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert band.get_x() == pytest.approx(blind["low"])
        assert band.get_x() + band.get_width() == pytest.approx(blind["high"])
        assert lines(axes, _style.GREY) == [blind["auc"]]
        assert lines(axes, _style.VERMILION) == [content["policy"]["max_auc"]]
        left, right = axes.get_xlim()
        assert left < 0.5
        assert right > blind["high"]


def test_panels_say_the_verdict_in_a_word_and_a_sign(tmp_path: Path) -> None:
    figure = drawn(example(), tmp_path)
    assert [axes.get_title() for axes in figure.axes if axes.axison] == [
        "v1: ✓ pass",
        "v2: ✗ fail",
        "v3: ? investigate",
        "teacher",
        "base",
    ]
    assert "release-7" in figure.get_suptitle()


@pytest.mark.parametrize(
    "content",
    [example(), closed(), alone(), without_numbers(), with_nasty_names()],
    ids=["example", "closed", "alone", "without numbers", "nasty names"],
)
def test_files_are_drawn_without_warnings_and_are_not_blank(
    content: dict[str, Any], tmp_path: Path
) -> None:
    files = {kind: tmp_path / f"forest.{kind}" for kind in ("png", "pdf")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forest.save(verdict(content, tmp_path), FigureSettings(dpi=60), files)
    with Image.open(files["png"]) as image:
        assert image.width == 420
        assert len(image.convert("L").getcolors() or []) > 20
    assert files["pdf"].read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_a_figure_drawn_twice_has_the_same_bytes(kind: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.{kind}" for number in range(2)]
    for file in files:
        forest.save(verdict(alone(), tmp_path), FigureSettings(dpi=60), {kind: file})
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    content = example()
    content["models"][0]["attacks"][0]["auc"] = dict.fromkeys(("value", "low", "high"))
    content["models"][0]["auc"] |= {"low": None, "high": None}
    axes = panels(drawn(content, tmp_path))["v1"]
    assert len(axes.containers) == len(content["models"][0]["attacks"])
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"] == [0.513]


def test_dollars_in_a_name_are_no_formula(tmp_path: Path) -> None:
    figure = drawn(with_nasty_names(), tmp_path)
    assert any(NASTY in axes.get_title() for axes in figure.axes)
    assert not any(axes.title.get_parse_math() for axes in figure.axes)
