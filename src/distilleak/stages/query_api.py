"""Compute the evidence of a model behind an API on the evaluated records.

The texts of records.parquet go to an OpenAI-compatible server, which says how likely each of their
tokens is. With `--shards DIR` a job that was interrupted, or whose server failed, is resumed where
it stopped.
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

from distilleak.evidence import served, shards
from distilleak.guards import locks
from distilleak.guards.checksums import digest
from distilleak.machine import signals
from distilleak.settings.api import ApiSettings
from distilleak.settings.base import canonical_json
from distilleak.stages import base


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    settings = arguments.settings
    with locks.alone(arguments.output, arguments.shards):
        served.check_server(settings)
        place = (
            shards.passing(arguments.output)
            if arguments.shards is None
            else shards.kept(
                arguments.shards, _fingerprint(settings, arguments.records, arguments.views)
            )
        )
        with signals.noticed() as stopped, place as kept:
            served.compute(settings, arguments.records, arguments.views, kept, stopped)
            for view in arguments.views:
                form = served.file_schema(settings, view)
                kept.join(served.MODEL, view, form, arguments.output / f"{view}.parquet")


def _fingerprint(settings: ApiSettings, records: str, views: Sequence[str]) -> str:
    """Of all that the answers depend on; the server alone knows whether its model has changed."""
    code = Path(served.__file__).parents[1]
    everything = {
        "server": [settings.root, settings.model],
        "views": [*views],
        "records": digest(Path(records)),
        "window": served.WINDOW,
        "code": [digest(file) for file in sorted(code.rglob("*.py"))],
    }
    return hashlib.sha256(canonical_json(everything).encode()).hexdigest()


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    parser.add_argument(
        "--settings",
        type=base.settings_argument(ApiSettings),
        required=True,
        help="JSON: the server and its model",
    )
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument(
        "--views", nargs="+", choices=[*served.VIEWS], default=["plain"], help="views to compute"
    )
    parser.add_argument(
        "--shards", help="directory, for this job alone, that keeps finished windows until the end"
    )
    parser.add_argument("--output", type=Path, required=True, help="directory for <view>.parquet")
    return parser
