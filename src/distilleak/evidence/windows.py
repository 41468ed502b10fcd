"""Computing evidence window by window: records of a view, as many as fit in memory."""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.evidence import passes, probing, views
from distilleak.evidence.table import schema
from distilleak.evidence.views import Shown, View
from distilleak.machine import signals
from distilleak.models import families, making
from distilleak.records import tokenization
from distilleak.records.framing import Framing
from distilleak.records.table import iterate_records
from distilleak.settings.evidence import EvidenceSettings


@dataclass(frozen=True)
class Asked:
    """The models that are asked, alike in kind and vocabulary, and how they read."""

    models: Sequence[PreTrainedModel]
    mixtures: dict[str, Sequence[int]]
    tokenizer: Tokenizer
    layout: Framing

    @property
    def positions(self) -> int:
        """The longest sequence that all of them can read."""
        return min(families.positions(model) for model in self.models)


def load_models(
    arguments: argparse.Namespace, mixtures: dict[str, Sequence[int]], device: str
) -> Asked:
    """Load the models and check that they can be mixed."""
    dtype = getattr(torch, arguments.settings.dtype)
    if dtype == torch.bfloat16 and not _has_bfloat16(device):
        gpu = torch.cuda.get_device_name()
        raise DistilleakError(f"evidence.dtype: {gpu} has no bfloat16; allowed: float32")
    first, *others = arguments.model
    loaded = [making.load(path, device, dtype) for path in arguments.model]
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


def windows_of(records: int) -> int:
    return math.ceil(records / views.WINDOW)


def part_of(counts: dict[str, int], part: int, parts: int) -> dict[str, list[int]]:
    """View -> the windows of this part of all.

    The windows of all views are one row that is cut into equal pieces: a view's windows in one
    part follow those in the part before.
    """
    row = [(view, window) for view, count in counts.items() for window in range(windows_of(count))]
    piece = row[(part - 1) * len(row) // parts : part * len(row) // parts]
    return {view: [window for name, window in piece if name == view] for view in counts}


def compute(
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
            raise signals.Interrupted(f"{view}, window {done}")

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
