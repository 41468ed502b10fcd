"""Compute a model's evidence on the evaluated records, all views in one job.

Given several models and `--mixture NAME=0,1,...`, it writes the evidence of each mixture of them
instead: the average of their distributions over the vocabulary, every model queried once. With
`--checkpoint JSON --tokenizer DIR` the model is a finished one of a user's, read where it lies.

With `--shards DIR` an interrupted job is resumed where it stopped. `--part 2-of-4` computes one of
four parts of the windows of records, which `join_evidence` puts together.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from distilleak.errors import DistilleakError
from distilleak.evidence import shards, windows
from distilleak.evidence.views import VIEWS
from distilleak.guards import locks
from distilleak.machine import signals
from distilleak.machine.fingerprint import fingerprint
from distilleak.machine.progress import Progress
from distilleak.models import finished, making
from distilleak.records import window
from distilleak.settings.evidence import EvidenceSettings
from distilleak.settings.finished import FinishedSettings
from distilleak.stages import base


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    query = windows.Query(
        arguments.records, arguments.views, arguments.settings, arguments.seed, arguments.part
    )
    checkpoint, tokenizer = arguments.checkpoint, arguments.tokenizer
    _check_sources(checkpoint is not None, tokenizer, arguments.mixture)
    mixtures = windows.check_mixtures(len(arguments.model or [""]), dict(arguments.mixture))
    with locks.alone(arguments.output, arguments.shards):
        device = making.prepare(arguments.threads)
        if checkpoint is None:
            queried = windows.load_models(
                arguments.model, mixtures, arguments.settings.dtype, device
            )
            files = [*queried.paths]
        else:
            queried = windows.load_finished(checkpoint, tokenizer, arguments.settings.dtype, device)
            files = [*finished.local_files(checkpoint), tokenizer]
        counts = windows.count_records(query, queried)
        place = (
            shards.passing(arguments.output)
            if arguments.shards is None
            else shards.kept(
                arguments.shards,
                _fingerprint(query, queried, checkpoint, files, arguments.threads, device),
            )
        )
        with signals.noticed() as stopped, place as kept:
            progress = Progress(str(arguments.output), "records", base.screen())
            windows.compute(query, queried, counts, kept, stopped, progress)
            for view in counts:
                for name in mixtures:
                    inside = Path(name, "evidence") if arguments.mixture else Path()
                    path = arguments.output / inside / f"{view}.parquet"
                    kept.join(
                        name, view, windows.described_schema(name, view, query, queried), path
                    )


def _check_sources(alone: bool, tokenizer: str | None, mixtures: Sequence[object]) -> None:
    if alone != (tokenizer is not None):
        raise DistilleakError("--checkpoint and --tokenizer need each other")
    if alone and mixtures:
        raise DistilleakError("--mixture: a finished model is queried alone; give no --checkpoint")


def _fingerprint(
    query: windows.Query,
    queried: windows.Queried,
    checkpoint: FinishedSettings | None,
    files: Sequence[str],
    threads: int,
    device: str,
) -> str:
    """Of all that the evidence depends on; `files` are those of the models."""
    deciding = {
        "model": queried.paths,
        "checkpoint": checkpoint,
        # What lies on a hub is known by its commit.
        "commits": windows.commits(queried),
        "mixtures": queried.mixtures,
        "views": query.views,
        "settings": query.settings,
        "seed": query.seed,
        # The order of sums, and with it their last bits, depends on these.
        "threads": threads,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "window": window.SIZE,
        "part": query.part,
    }
    return fingerprint(deciding, [*files, query.records])


def _mixture(text: str) -> tuple[str, list[int]]:
    name, _, positions = text.partition("=")
    try:
        return name, [int(position) for position in positions.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=0,1,...") from error


def _part_argument(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("-of-")
    if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 2-of-4")
    return int(part), int(parts)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--model", nargs="+", help="model directories")
    given.add_argument(
        "--checkpoint",
        type=base.settings_argument(FinishedSettings),
        help="JSON: a finished model, instead of one that a stage wrote",
    )
    parser.add_argument(
        "--tokenizer", help="directory with the tokenizer of --checkpoint (copy_tokenizer)"
    )
    parser.add_argument(
        "--mixture",
        type=_mixture,
        action="append",
        default=[],
        help="NAME=0,1,...: a mixture of the models at these positions; may be repeated",
    )
    parser.add_argument("--records", required=True, help="records.parquet")
    parser.add_argument(
        "--views", nargs="+", choices=[*VIEWS], default=["plain"], help="views to compute"
    )
    parser.add_argument(
        "--settings",
        type=base.settings_argument(EvidenceSettings),
        default=EvidenceSettings(),
        help="JSON: evidence settings",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the study")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument(
        "--shards",
        help="directory, for this job alone, that keeps finished windows until the end",
    )
    parser.add_argument(
        "--part",
        type=_part_argument,
        default=(1, 1),
        metavar="I-of-N",
        help="only this part of the windows of records (default: all)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="directory for <view>.parquet; with mixtures, for <mixture>/evidence/<view>.parquet",
    )
    return parser
