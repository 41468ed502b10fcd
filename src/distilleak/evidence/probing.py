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
from distilleak.evidence import tempered
from distilleak.evidence.passes import Integers, Passes
from distilleak.evidence.table import FLOAT_COLUMNS, INTEGER_COLUMNS
from distilleak.machine import memory
from distilleak.models import families
from distilleak.models.batches import Batch, Tokens, batch, by_length
from distilleak.records.framing import Framing

CHUNK = {"cpu": 2**17, "cuda": 2**26}
"""Logits of one model held at a time: on a CPU chunks that stay in its cache; on a GPU chunks of
256 MiB, which keep it busy between two launches and leave its memory to the model."""
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


@dataclass(frozen=True)
class Statistics:
    """What is kept of a distribution over the vocabulary.

    Attributes:
        floats: names of columns in float32.
        integers: names of columns in int32.
        of: (log_p, labels) -> (n,) each of these columns; arguments as of `token_statistics`.
    """

    floats: Sequence[str]
    integers: Sequence[str]
    of: Callable[[torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]


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
    after_batch: Callable[[], None] = lambda: None,
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
        after_batch: called after every forward pass; what it raises ends the work.
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
        after_batch()
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
    size = max(1, CHUNK[now.labels.device.type] // models[0].config.vocab_size)
    for first in range(0, len(now.labels), size):
        chunk = slice(first, first + size)
        logits = [
            families.logits(model, states[chunk]).float()
            for model, states in zip(models, hidden, strict=True)
        ]
        for name, log_p in _mixed(logits, mixtures):
            chunks[name].append(kept.of(log_p, now.labels[chunk]))
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
    logits: Sequence[torch.Tensor], mixtures: Mapping[str, Sequence[int]]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Each mixture's name and log-probabilities, (n, vocabulary).

    The distributions are taken once and added up as probabilities, which is several times cheaper
    than a logsumexp per mixture. What no model gives more than float32's smallest number counts as
    that number, log p = -87.3.
    """
    shared = any(len(positions) > 1 for positions in mixtures.values())
    p = [torch.softmax(z, -1) for z in logits] if shared else []
    for name, positions in mixtures.items():
        if len(positions) == 1:
            yield name, torch.log_softmax(logits[positions[0]], -1)
            continue
        total = p[positions[0]].clone()
        for position in positions[1:]:
            total += p[position]
        yield name, total.div_(len(positions)).clamp_(min=torch.finfo(total.dtype).tiny).log_()


def token_statistics(log_p: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """The columns of evidence, (n,) each, from normalised log-probabilities.

    Args:
        log_p: (n, vocabulary) natural logarithms, float32.
        labels: (n,) the true tokens.

    `log1m_p` comes from the logsumexp over the other tokens where p is large: 1 - exp(log p) has no
    digits left when p is near 1. `std_logp` is centred before it is squared, for the same reason.
    """
    column = labels[:, None]
    true = log_p.gather(-1, column)
    p = log_p.exp()
    mean = (p * log_p).sum(-1, keepdim=True)
    variance = ((log_p - mean).square_().mul_(p)).sum(-1)
    return {
        "token_id": labels.int(),
        "logp": true[:, 0],
        "mean_logp": mean[:, 0],
        "std_logp": variance.sqrt(),
        "top_logp": log_p.amax(-1),
        "rank": (log_p > true).sum(-1).int(),
        # To count the likely rows would stop a GPU; it is faster to do them all.
        "log1m_p": _log1m(log_p, true, column, every_row=not log_p.is_cpu)[:, 0],
    }


def _log1m(
    log_p: torch.Tensor, true: torch.Tensor, column: torch.Tensor, every_row: bool
) -> torch.Tensor:
    log1m = torch.log1p(-true.exp().clamp(max=0.5))
    likely = true > np.log(0.5)
    if every_row:
        others = log_p.scatter(-1, column, -torch.inf)
        return torch.where(likely, torch.logsumexp(others, -1, keepdim=True), log1m)
    rows = torch.nonzero(likely[:, 0])[:, 0]
    if len(rows):
        others = log_p[rows].scatter_(-1, column[rows], -torch.inf)
        log1m[rows] = torch.logsumexp(others, -1, keepdim=True)
    return log1m


def tempered_statistics(log_p: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Log p of the true token at each of `tempered.SCALES`, (n,) each; arguments as above."""
    column = labels[:, None]
    found = {}
    for name, scale in zip(tempered.COLUMNS, tempered.SCALES, strict=True):
        scaled = log_p * scale
        found[name] = (scaled.gather(-1, column) - torch.logsumexp(scaled, -1, keepdim=True))[:, 0]
    return found


EVIDENCE = Statistics(FLOAT_COLUMNS, INTEGER_COLUMNS, token_statistics)
TEMPERED = Statistics(tempered.COLUMNS, (), tempered_statistics)
