"""Compute a model's evidence on the evaluated records, all views in one job.

Given several models and `--mixture NAME=0,1,...`, it writes the evidence of each mixture of them
instead: the average of their distributions over the vocabulary, every model asked once. With
`--shards DIR` an interrupted job goes on where it stopped. `--part 2-of-4` computes one of four
parts of the windows of records, which `join_evidence` puts together.
"""

import argparse
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import transformers
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import PreTrainedModel

from distilleak import (
    families,
    interruption,
    models,
    passes,
    probing,
    shards,
    snapshots,
    stage,
    tokenization,
    views,
)
from distilleak.errors import DistilleakError
from distilleak.evidence import schema
from distilleak.format import Format
from distilleak.records import iterate_records
from distilleak.settings.base import canonical_json
from distilleak.settings.evidence import EvidenceSettings
from distilleak.shards import Shards
from distilleak.views import VIEWS, Shown, View

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """The models that are asked, alike in kind and vocabulary, and how they read."""

    models: Sequence[PreTrainedModel]
    mixtures: dict[str, Sequence[int]]
    tokenizer: Tokenizer
    layout: Format

    @property
    def positions(self) -> int:
        """The longest sequence that all of them can read."""
        return min(families.positions(model) for model in self.models)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    arguments = _parser().parse_args(argv)
    mixtures = _mixtures(arguments)
    device = models.prepare(arguments.threads)
    asked = _asked(arguments, mixtures, device)
    counts = _check_lengths(arguments, asked)
    with interruption.noticed() as stopped, _shards(arguments, device) as kept:
        budget = probing.Budget(arguments.settings.batch_tokens)
        mine = _part(counts, *arguments.part)
        for view in counts:
            missing = {
                window for window in mine[view] if not kept.finished([*mixtures], view, window)
            }
            found = _windows(view, missing, asked, arguments, budget, stopped)
            for window, tables in tqdm(found, desc=view, total=len(missing), disable=None):
                kept.write(tables, view, window)
        for view in counts:
            form = schema(masked=asked.layout.masked, copies=view == "neighbour")
            for name in mixtures:
                described = form.with_metadata(_metadata(name, view, asked, arguments))
                kept.join(name, view, described, _output(name, view, arguments))
            log.info("%s: %d of %d windows", view, len(mine[view]), _windows_of(counts[view]))


def _asked(arguments: argparse.Namespace, mixtures: dict[str, Sequence[int]], device: str) -> Asked:
    """Load the models and check that they can be mixed."""
    dtype = getattr(torch, arguments.settings.dtype)
    if dtype == torch.bfloat16 and not _has_bfloat16(device):
        gpu = torch.cuda.get_device_name()
        raise DistilleakError(f"evidence.dtype: {gpu} has no bfloat16; allowed: float32")
    first, *others = arguments.model
    loaded = [models.load(path, device, dtype) for path in arguments.model]
    kind = families.of(loaded[0]).kind
    tokenizer = tokenization.load(first)
    for path, model in zip(others, loaded[1:], strict=True):
        if families.of(model).kind != kind:
            raise DistilleakError(
                f"{path}: a {families.of(model).kind} model, but {first} is {kind}; "
                "models of one mixture must be of one kind"
            )
        if (
            model.config.vocab_size != loaded[0].config.vocab_size
            or tokenization.load(path).get_vocab() != tokenizer.get_vocab()
        ):
            raise DistilleakError(
                f"{path}: not the vocabulary of {first}; models of one mixture must have one"
            )
    layout = tokenization.layout(first, kind == "masked")
    return Asked(loaded, mixtures, tokenizer, layout)


def _has_bfloat16(device: str) -> bool:
    return device == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)


def _check_lengths(arguments: argparse.Namespace, asked: Asked) -> dict[str, int]:
    """View -> its number of records, of which the longest fits every model."""
    found = views.extents(arguments.records, arguments.views, arguments.settings)
    view, (_, longest) = max(found.items(), key=lambda item: item[1][1])
    prefix = arguments.settings.prefix_tokens if view in views.PREFIXES else 0
    need = asked.layout.added + longest
    for path, model in zip(arguments.model, asked.models, strict=True):
        if families.positions(model) < need:
            raise DistilleakError(
                f"{path}: {families.positions(model)} positions, but {need} are needed: "
                f"{asked.layout.added} special tokens, {prefix} of evidence.prefix_tokens and "
                f"{longest - prefix} of the longest record"
            )
    return {view: count for view, (count, _) in found.items()}


def _windows_of(records: int) -> int:
    return math.ceil(records / views.WINDOW)


def _part(counts: dict[str, int], part: int, parts: int) -> dict[str, list[int]]:
    """View -> the windows of this part of all.

    The windows of all views are one row that is cut into equal pieces: a view's windows in one
    part follow those in the part before.
    """
    row = [(view, window) for view, count in counts.items() for window in range(_windows_of(count))]
    piece = row[(part - 1) * len(row) // parts : part * len(row) // parts]
    return {view: [window for name, window in piece if name == view] for view in counts}


def _shards(arguments: argparse.Namespace, device: str) -> AbstractContextManager[Shards]:
    if arguments.shards is None:
        return shards.passing(arguments.output)
    fingerprint = snapshots.fingerprint(
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
    return shards.kept(arguments.shards, fingerprint)


def _windows(
    view: str,
    missing: set[int],
    asked: Asked,
    arguments: argparse.Namespace,
    budget: probing.Budget,
    stopped: Callable[[], bool],
) -> Iterator[tuple[int, dict[str, pa.Table]]]:
    """The number of each missing window of a view and its evidence, a table for each mixture."""
    settings: EvidenceSettings = arguments.settings
    looked_at = View(view, arguments.records, settings, arguments.seed)
    context = probing.read_context(asked.models, asked.layout, looked_at.prefix)
    longest = asked.positions - asked.layout.added
    done = 0

    def end_if_asked() -> None:
        if stopped():
            raise interruption.Interrupted(f"{view}, window {done}")

    streamed = iterate_records(arguments.records, looked_at.pools, views.WINDOW)
    for window, records in enumerate(streamed):
        if window not in missing:
            continue
        shown = looked_at.shown(records, asked.tokenizer, longest)
        lengths = np.array([len(text) for text in shown.tokens])
        plan = (
            passes.masked(lengths, shown.record_id, settings, arguments.seed)
            if asked.layout.masked
            else passes.causal(lengths)
        )
        found = probing.probe(
            asked.models, asked.mixtures, shown.tokens, plan, context, budget, end_if_asked
        )
        yield window, {name: _table(shown, plan, columns) for name, columns in found.items()}
        done += 1


def _table(shown: Shown, plan: passes.Plan, columns: probing.Columns) -> pa.Table:
    offsets = pa.array(plan.offsets, pa.int32())
    lists = dict(columns)
    if plan.hides is not None:
        lists["position"] = plan.positions().astype(np.int32)
    found: dict[str, pa.Array] = {
        name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in lists.items()
    }
    found["record_id"] = pa.array(shown.record_id).take(pa.array(plan.record))
    found["pass"] = pa.array(plan.number, pa.int32())
    if shown.copy is not None:
        found["copy"] = pa.array(shown.copy[plan.record])
    form = schema(masked=plan.hides is not None, copies=shown.copy is not None)
    return pa.table([found[name] for name in form.names], schema=form)


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
    parser = stage.parser(__name__, __doc__)
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
        type=stage.settings_argument(EvidenceSettings),
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
