"""Compute a model's evidence on the evaluated records, all views in one job.

Given several models and `--mixture NAME=0,1,...`, it writes the evidence of each mixture of them
instead: the average of their distributions over the vocabulary, every model asked once. With
`--shards DIR` an interrupted job goes on where it stopped. `--part 2-of-4` computes one of four
parts of the windows of records, which `join_evidence` puts together.
"""

import argparse
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
import transformers
from tqdm import tqdm

from distilleak.errors import DistilleakError
from distilleak.evidence import probing, shards, views
from distilleak.evidence.shards import Shards
from distilleak.evidence.table import schema
from distilleak.evidence.views import VIEWS
from distilleak.evidence.windows import Asked, compute, load_models, part_of, windows_of
from distilleak.machine import fingerprint, signals
from distilleak.models import families, making
from distilleak.settings import evidence
from distilleak.settings.base import canonical_json
from distilleak.settings.evidence import EvidenceSettings
from distilleak.stages import base

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    mixtures = _mixtures(arguments)
    device = making.prepare(arguments.threads)
    asked = load_models(arguments, mixtures, device)
    counts = _check_lengths(arguments, asked)
    with signals.noticed() as stopped, _shards(arguments, device) as kept:
        budget = probing.Budget(arguments.settings.batch_tokens)
        mine = part_of(counts, *arguments.part)
        for view in counts:
            missing = {
                window for window in mine[view] if not kept.finished([*mixtures], view, window)
            }
            found = compute(view, missing, asked, arguments, budget, stopped)
            for window, tables in tqdm(found, desc=view, total=len(missing), disable=None):
                kept.write(tables, view, window)
        for view in counts:
            form = schema(masked=asked.layout.masked, copies=view == "neighbour")
            for name in mixtures:
                described = form.with_metadata(_metadata(name, view, asked, arguments))
                kept.join(name, view, described, _output(name, view, arguments))
            log.info("%s: %d of %d windows", view, len(mine[view]), windows_of(counts[view]))


def _check_lengths(arguments: argparse.Namespace, asked: Asked) -> dict[str, int]:
    """View -> its number of records, of which the longest fits every model."""
    found = views.extents(arguments.records, arguments.views, arguments.settings)
    view, (_, longest) = max(found.items(), key=lambda item: item[1][1])
    prefix = arguments.settings.prefix_tokens if view in evidence.PREFIXES else 0
    need = asked.layout.added + longest
    for path, model in zip(arguments.model, asked.models, strict=True):
        if families.positions(model) < need:
            raise DistilleakError(
                f"{path}: {families.positions(model)} positions, but {need} are needed: "
                f"{asked.layout.added} special tokens, {prefix} of evidence.prefix_tokens and "
                f"{longest - prefix} of the longest record"
            )
    return {view: count for view, (count, _) in found.items()}


def _shards(arguments: argparse.Namespace, device: str) -> AbstractContextManager[Shards]:
    if arguments.shards is None:
        return shards.passing(arguments.output)
    inputs = fingerprint.fingerprint(
        {
            "model": arguments.model,
            "mixture": arguments.mixture,
            "views": arguments.views,
            "settings": arguments.settings,
            "seed": arguments.seed,
            # The order of sums, and with it their last bits, depends on these.
            "threads": arguments.threads,
            "device": torch.cuda.get_device_name() if device == "cuda" else device,
            "window": views.WINDOW,
            "part": arguments.part,
        },
        [*arguments.model, arguments.records],
    )
    return shards.kept(arguments.shards, inputs)


def _output(name: str, view: str, arguments: argparse.Namespace) -> Path:
    if arguments.mixture:
        return Path(arguments.output, name, "evidence", f"{view}.parquet")
    return Path(arguments.output, f"{view}.parquet")


def _metadata(name: str, view: str, asked: Asked, arguments: argparse.Namespace) -> dict[str, str]:
    positions = asked.mixtures[name]
    commits = [
        getattr(asked.models[position].config, "_commit_hash", None) for position in positions
    ]
    return {
        "model": ",".join(str(arguments.model[position]) for position in positions),
        "view": view,
        "dtype": arguments.settings.dtype,
        "revisions": canonical_json(
            {
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                **({"model": commits} if any(commits) else {}),
            }
        ),
    }


def _mixtures(arguments: argparse.Namespace) -> dict[str, Sequence[int]]:
    """Name of each mixture -> positions of its models; one model alone is a mixture of one."""
    count = len(arguments.model)
    if not arguments.mixture and count > 1:
        raise DistilleakError(f"{count} models but no --mixture NAME=0,1,...; give one of either")
    mixtures = dict(arguments.mixture or [("", [0])])
    for name, positions in mixtures.items():
        if not set(positions) <= set(range(count)):
            raise DistilleakError(f"--mixture {name}: {positions} must lie in 0 ... {count - 1}")
    return mixtures


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
    parser.add_argument("--model", nargs="+", required=True, help="model directories")
    parser.add_argument(
        "--mixture",
        type=_mixture,
        action="append",
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
        required=True,
        help="directory for <view>.parquet; with mixtures, for <mixture>/evidence/<view>.parquet",
    )
    return parser
