"""How figures look, and which attack they speak of."""

from pydantic import Field

from distilleak.settings.base import Settings


class FigureSettings(Settings):
    """Settings of the figures and of the report; nothing that is computed depends on them."""

    headline_attack: str = "loss"
    """The attack shown where a figure has room for one: chosen here, before any result is seen,
    because the strongest attack picked afterwards would look stronger than it is."""

    dpi: int = Field(default=150, ge=50, le=600)
    """Dots per inch of the PNG files: 150 is sharp on a screen, 300 is what printers ask for."""

    width_inches: float = Field(default=7.0, ge=4.0, le=20.0, allow_inf_nan=False)
    """Width of every figure; 7 inches is the text width of a page, so that print is not scaled."""

    font_size: float = Field(default=8.5, ge=5.0, le=16.0, allow_inf_nan=False)
    """Size of the text in points at that width; below 7 it can no longer be read on paper."""
