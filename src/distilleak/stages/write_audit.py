"""Write what people read of an audit: the page, the text for a model card, the figure."""

from collections.abc import Sequence
from pathlib import Path

from distilleak.audit import forest, verdict
from distilleak.audit.card import card
from distilleak.audit.page import page
from distilleak.files import write_text
from distilleak.settings.figures import FigureSettings
from distilleak.stages import base


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see `--help`.

    Raises:
        DistilleakError: the verdict cannot be read, or is of another version of its schema.
    """
    parser = base.parser(__name__, __doc__)
    parser.add_argument("--verdict", required=True, type=Path, help="verdict.json")
    parser.add_argument("--report", required=True, type=Path, help="written: the page (HTML)")
    parser.add_argument(
        "--card", required=True, type=Path, help="written: text for model cards (Markdown)"
    )
    parser.add_argument(
        "--figures", required=True, type=Path, help="directory of the figure, as PNG and as PDF"
    )
    parser.add_argument(
        "--style",
        default=FigureSettings(),
        type=base.settings_argument(FigureSettings),
        help="the section `figures` of a configuration, as JSON (default: its defaults)",
    )
    options = parser.parse_args(arguments)
    found = verdict.read(options.verdict)
    png = options.figures / f"{forest.NAME}.png"
    forest.save(found, options.style, {"png": png, "pdf": png.with_suffix(".pdf")})
    write_text(card(found), options.card)
    write_text(page(found, png), options.report)
