"""Asking models for evidence: forward passes over records, statistics per predicted token."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel

from distilleak.batches import Batch, Tokens, batch, by_length

CHUNK = 2**17
"""Logits of one model held at a time: blocks of this size stay in a CPU's cache."""
Columns = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Prefix:
    """A fixed context before every record: what each model remembers of it, and its last token."""

    caches: Sequence[DynamicCache]
    last: int


@torch.no_grad()
def read_prefix(models: Sequence[PreTrainedModel], start: int, tokens: Sequence[int]) -> Prefix:
    """Let every model read `start` and `tokens` once; the last token is left to predict from."""
    caches = []
    for model in models:
        context = torch.tensor([[start, *tokens[:-1]]], device=model.device)
        output = model.base_model(
            input_ids=context, use_cache=True, past_key_values=DynamicCache(config=model.config)
        )
        caches.append(output.past_key_values)
    return Prefix(caches, tokens[-1])


def probe(
    models: Sequence[PreTrainedModel],
    mixtures: Mapping[str, Sequence[int]],
    tokens: Sequence[Tokens],
    *,
    start: int,
    prefix: Prefix | None,
    batch_tokens: int,
) -> dict[str, list[Columns]]:
    """Evidence on records `tokens`, for every mixture of `models`.

    A mixture averages the next-token distributions of the models at the given positions; one model
    alone is a mixture of one. Every model sees every record once, whatever the mixtures.

    Returns:
        For each mixture one dictionary a record, in the order of `tokens`, with the columns of
        `distilleak.evidence`, (tokens of the record,) each.
    """
    found: dict[str, list[Columns]] = {name: [{}] * len(tokens) for name in mixtures}
    first = start if prefix is None else prefix.last
    for rows in by_length(tokens, batch_tokens):
        now = batch(tokens, rows, first, models[0].device.type)
        ends = np.cumsum([len(tokens[row]) for row in rows])[:-1]
        for name, columns in _statistics(models, mixtures, now, prefix).items():
            cut = {column: np.split(values, ends) for column, values in columns.items()}
            for place, row in enumerate(rows):
                found[name][row] = {column: values[place] for column, values in cut.items()}
    return found


@torch.no_grad()
def _statistics(
    models: Sequence[PreTrainedModel],
    mixtures: Mapping[str, Sequence[int]],
    now: Batch,
    prefix: Prefix | None,
) -> dict[str, Columns]:
    caches = [None] * len(models) if prefix is None else prefix.caches
    hidden = [
        now.hidden_states(model, _repeated(cache, len(now.rows)))
        for model, cache in zip(models, caches, strict=True)
    ]
    heads = [model.get_output_embeddings() for model in models]  # type: ignore[no-untyped-call]
    pieces: dict[str, list[Columns]] = {name: [] for name in mixtures}
    size = max(1, CHUNK // models[0].config.vocab_size)
    for first in range(0, len(now.labels), size):
        part = slice(first, first + size)
        logits = [head(states[part]).float() for head, states in zip(heads, hidden, strict=True)]
        for name, log_p in _mixed(logits, mixtures):
            pieces[name].append(token_statistics(log_p, now.labels[part]))
    return {
        name: {column: np.concatenate([piece[column] for piece in parts]) for column in parts[0]}
        for name, parts in pieces.items()
    }


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


def token_statistics(log_p: torch.Tensor, labels: torch.Tensor) -> Columns:
    """The columns of evidence from normalised log-probabilities.

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
    log1m = torch.log1p(-true.exp().clamp(max=0.5))
    likely = torch.nonzero(true[:, 0] > np.log(0.5))[:, 0]
    if len(likely):
        others = log_p[likely].scatter_(-1, column[likely], -torch.inf)
        log1m[likely] = torch.logsumexp(others, -1, keepdim=True)
    return {
        "token_id": labels.to(torch.int32).cpu().numpy(),
        "logp": true[:, 0].cpu().numpy(),
        "mean_logp": mean[:, 0].cpu().numpy(),
        "std_logp": variance.sqrt().cpu().numpy(),
        "top_logp": log_p.amax(-1).cpu().numpy(),
        "rank": (log_p > true).sum(-1).to(torch.int32).cpu().numpy(),
        "log1m_p": log1m[:, 0].cpu().numpy(),
    }


def windows(records: int, size: int) -> Iterator[range]:
    """Consecutive ranges of at most `size` positions: what is held in memory at a time."""
    for first in range(0, records, size):
        yield range(first, min(records, first + size))
