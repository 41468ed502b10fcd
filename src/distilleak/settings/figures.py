"""How figures look, and which attack they show."""

from pydantic import Field

from distilleak.settings.base import Settings


class FigureSettings(Settings):
    """Settings of the figures and the report; no computed result depends on them."""

    headline_attack: str = "loss"
    """The attack shown where a figure has room for only one. It is chosen here, before any result
    is seen: the strongest attack, picked afterwards, would look stronger than it is."""

    dpi: int = Field(default=150, ge=50, le=600)
    """Dots per inch of the PNG files: 150 is sharp on a screen, 300 is usual for print."""

    width_inches: float = Field(default=7.0, ge=4.0, le=20.0, allow_inf_nan=False)
    """Width of every figure; 7 inches is the text width of a page, so print is not scaled."""

    font_size: float = Field(default=8.5, ge=5.0, le=16.0, allow_inf_nan=False)
    """Size of the text in points at that width; below 7 it is unreadable on paper."""
