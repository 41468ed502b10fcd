"""Write the complete configuration of a study as JSON, defaults included."""

import argparse
import json
from collections.abc import Sequence

from distilleak.files import write_text
from distilleak.stages import base


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    write_text(json.dumps(arguments.study, indent=4) + "\n", arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument(
        "--study", type=base.settings_argument(dict), required=True, help="JSON: the configuration"
    )
    parser.add_argument("--output", required=True, help="config.json to write")
    return parser
