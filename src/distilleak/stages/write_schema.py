"""Write the JSON schema of the configuration, from which editors complete, explain and check it.

The settings classes are the one source: their docstrings become the descriptions. For every known
method, attack and corpus the schema lists its own parameters.
"""

import argparse
from collections.abc import Sequence

from distilleak.audit import schema as audits
from distilleak.files import write_json
from distilleak.stages import base
from distilleak.study.schema import schema


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    write_json(audits.schema() if arguments.audit else schema(), arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument(
        "--audit", action="store_true", help="of the configuration of an audit instead of a study"
    )
    parser.add_argument("--output", required=True, help="JSON schema to write")
    return parser
