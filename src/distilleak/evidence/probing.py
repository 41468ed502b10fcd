"""Querying models for evidence: forward passes over records, statistics per predicted token."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.evidence.passes import Integers, Passes
from distilleak.evidence.statistics import BLOCK, EVIDENCE, Statistics
from distilleak.machine import memory
from distilleak.models import families
from distilleak.models.batches import Batch, Tokens, batch, by_length
from distilleak.records.framing import Framing

HEAD_CHUNK = {"cpu": 2**24, "cuda": 2**26}
"""Logits that are held at a time, of all models together. The head is read from memory for every
chunk, so few and large ones are faster: a batch of a small vocabulary is one chunk. On a GPU chunks
of 256 MiB keep it busy between two launches and leave its memory to the model."""
Columns = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Context:
    """What stands before every record.

    Attributes:
        framing: how the models read. After a causal model's prefix, `start` is the last token of
            the prefix, from which the first token of a record is predicted.
        caches: for each model, what a causal one remembers of the prefix; None without a prefix.
        prefix: the prefix of masked models.
    """

    framing: Framing
    caches: Sequence[DynamicCache | None]
    prefix: Sequence[int] = ()


@torch.no_grad()
def read_context(
    models: Sequence[PreTrainedModel], framing: Framing, prefix: Sequence[int] = ()
) -> Context:
    """The context of records after `prefix`, which every causal model reads once, here."""
    if framing.masked or not prefix:
        return Context(framing, [None] * len(models), prefix)
    caches = []
    for model in models:
        ids = torch.tensor([[framing.start, *prefix[:-1]]], device=model.device)
        cache = DynamicCache(config=model.config)
        families.final_states(model, ids, None, cache)
        caches.append(cache)
    return Context(dataclasses.replace(framing, start=prefix[-1]), caches)


@dataclass
class Budget:
    """Tokens per forward pass; halved where memory runs out, for all that follows."""

    tokens: int


def probe(
    models: Sequence[PreTrainedModel],
    mixtures: Mapping[str, Sequence[int]],
    tokens: Sequence[Tokens],
    plan: Passes,
    context: Context,
    budget: Budget,
    after_batch: Callable[[int], None] = lambda passes: None,
    statistics: Statistics | None = None,
) -> dict[str, Columns]:
    """Evidence on records `tokens`, for every mixture of `models`.

    A mixture averages the distributions of the models at the given positions; one model alone is a
    mixture of one. Every model reads every pass once, whatever the mixtures.

    Args:
        models: of one kind and one vocabulary, on one device.
        mixtures: name -> positions in `models`.
        tokens: the records.
        plan: the passes over them.
        context: what stands before them.
        budget: tokens per forward pass.
        after_batch: called after every batch with its number of passes; what it raises ends the
            work.
        statistics: what is kept; `EVIDENCE` if left out.

    Returns:
        For each mixture the columns of `distilleak.evidence`: flat, (scored tokens,) each, cut into
        rows by `plan.offsets`.

    Raises:
        DistilleakError: a single row does not fit into memory.
    """
    kept = statistics or EVIDENCE
    device = models[0].device.type
    offsets = plan.offsets
    found = {name: _empty(kept, int(offsets[-1])) for name in mixtures}
    added = context.framing.added + len(context.prefix) if context.framing.masked else 0
    widths = plan.length + added
    waiting = list(by_length(widths, budget.tokens))[::-1]
    while waiting:
        rows = waiting.pop()
        answers = memory.attempt(
            partial(_columns, models, mixtures, tokens, plan, context, rows, device, kept)
        )
        if answers is None:
            _shrink(budget, widths[rows], device)
            rest = np.concatenate([rows, *waiting[::-1]])
            waiting = [rest[chosen] for chosen in by_length(widths[rest], budget.tokens)][::-1]
            continue
        places = _places(offsets, rows)
        for name, columns in answers.items():
            for column, values in columns.items():
                found[name][column][places] = values
        after_batch(len(rows))
    return found


def _empty(kept: Statistics, count: int) -> Columns:
    floats: Columns = {name: np.empty(count, np.float32) for name in kept.floats}
    return floats | {name: np.empty(count, np.int32) for name in kept.integers}


def _places(offsets: Integers, rows: Integers) -> Integers:
    """Where the values of `rows`, one row after the other, belong among those of all rows."""
    counts = np.diff(offsets)[rows]
    shifts = offsets[rows] - (np.cumsum(counts) - counts)
    places: Integers = np.arange(counts.sum()) + np.repeat(shifts, counts)
    return places


def _columns(
    models: Sequence[PreTrainedModel],
    mixtures: Mapping[str, Sequence[int]],
    tokens: Sequence[Tokens],
    plan: Passes,
    context: Context,
    rows: Integers,
    device: str,
    kept: Statistics,
) -> dict[str, Columns]:
    """The columns of `rows`, flat."""
    now = batch(
        tokens, plan.record[rows], context.framing, device, plan.hidden(rows), context.prefix
    )
    return _statistics(models, mixtures, now, context.caches, kept)


def _shrink(budget: Budget, widths: Integers, device: str) -> None:
    width = int(widths.max())
    if len(widths) == 1:
        raise DistilleakError(
            f"evidence: one sequence of {width} tokens does not fit into the memory of {device}; "
            "use a larger device, shorter records or evidence.dtype: bfloat16"
        )
    budget.tokens = memory.halve(len(widths) * width, "tokens")


@torch.no_grad()
def _statistics(
    models: Sequence[PreTrainedModel],
    mixtures: Mapping[str, Sequence[int]],
    now: Batch,
    caches: Sequence[DynamicCache | None],
    kept: Statistics,
) -> dict[str, Columns]:
    hidden = [
        now.hidden_states(model, _repeated(cache, len(now.rows)))
        for model, cache in zip(models, caches, strict=True)
    ]
    chunks: dict[str, list[dict[str, torch.Tensor]]] = {name: [] for name in mixtures}
    several = {name: positions for name, positions in mixtures.items() if len(positions) > 1}
    alone = {name: positions[0] for name, positions in mixtures.items() if len(positions) == 1}
    last = {position: name for name, position in alone.items()}
    vocabulary = models[0].config.vocab_size
    size = max(1, HEAD_CHUNK[now.labels.device.type] // (vocabulary * len(models)))
    for labels, *states in zip(
        *(torch.split(part, size) for part in (now.labels, *hidden)), strict=True
    ):
        logits = [
            families.logits(model, own).float() for model, own in zip(models, states, strict=True)
        ]
        for name, mixed, true in _mixed(logits, several, labels):
            chunks[name].append(kept.of(mixed, true))
        for name, position in alone.items():
            own = logits[position]
            chunks[name].append(kept.of(own if last[position] == name else own.clone(), labels))
    return {name: _moved(kept, found) for name, found in chunks.items()}


def _moved(kept: Statistics, chunks: Sequence[dict[str, torch.Tensor]]) -> Columns:
    """The columns in the host's memory; one transfer for a type, since each waits for the GPU."""
    columns: Columns = {}
    for names in filter(None, (kept.floats, kept.integers)):
        stacked = [torch.stack([chunk[name] for name in names]) for chunk in chunks]
        columns.update(zip(names, torch.cat(stacked, 1).cpu().numpy(), strict=True))
    return columns


def _repeated(cache: DynamicCache | None, rows: int) -> DynamicCache | None:
    if cache is None:
        return None
    # A forward pass appends to the cache it is given, so each batch gets a copy.
    repeated = copy.deepcopy(cache)
    repeated.batch_repeat_interleave(rows)
    return repeated


def _mixed(
    logits: Sequence[torch.Tensor],
    mixtures: Mapping[str, Sequence[int]],
    labels: torch.Tensor,
) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Block by block each mixture's name, its log-probabilities (n, vocabulary) and its labels.

    The distributions are taken once and added up as probabilities, which is several times cheaper
    than a logsumexp per mixture. What no model gives more than float32's smallest number counts as
    that number, log p = -87.3.
    """
    if not mixtures:
        return
    rows = max(1, BLOCK[labels.device.type] // logits[0].shape[-1])
    parts = [torch.split(whole, rows) for whole in (labels, *logits)]
    for true, *block in zip(*parts, strict=True):
        p = [torch.softmax(z, -1) for z in block]
        for name, positions in mixtures.items():
            total = p[positions[0]].clone()
            for position in positions[1:]:
                total += p[position]
            total.div_(len(positions)).clamp_(min=torch.finfo(total.dtype).tiny)
            yield name, total.log_(), true
