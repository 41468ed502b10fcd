"""Batches of records: what a model reads, what it predicts, and the states it predicts from."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel

from distilleak import seeding
from distilleak.models import families
from distilleak.records.framing import Framing

Tokens = NDArray[np.integer]


@dataclass(frozen=True)
class Batch:
    """Records side by side, padded at the end.

    In a causal model position t of a row holds token t - 1 and predicts token t. In a masked model
    a position predicts its own token, which is hidden.

    Attributes:
        rows: (B,) the positions of the records in the sequence that they were taken from.
        input_ids: (B, T) what the model reads.
        mask: (B, T) bool, True where a token of the record is predicted.
        labels: (n,) the predicted tokens, record after record; n = mask.sum().
        visible: (B, T) bool, False on padding; None for a causal model, where padding follows the
            text and cannot be seen.
    """

    rows: NDArray[np.int64]
    input_ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    visible: torch.Tensor | None = None

    def hidden_states(
        self, model: PreTrainedModel, past: DynamicCache | None = None
    ) -> torch.Tensor:
        """The final hidden states at the predicting positions, (n, d), record after record.

        `past` holds what a causal model has read before the first token of every row. A row's
        states do not depend on the other rows.
        """
        switch = families.switch(model)
        if switch is not None and self.visible is None:
            before = 0 if past is None else past.get_seq_length()
            long = before + self.mask.sum(1) > switch
            if long.any() and not long.all():
                return self._apart(model, [~long, long], past)
        return families.final_states(model, self.input_ids, self.visible, past)[self.mask]

    def _apart(
        self, model: PreTrainedModel, groups: Sequence[torch.Tensor], past: DynamicCache | None
    ) -> torch.Tensor:
        """The hidden states of groups of rows, (B,) bool each, that are read one after another."""
        found: torch.Tensor | None = None
        for rows in groups:
            width = int(self.mask[rows].sum(1).max())
            own = copy.deepcopy(past)
            if own is not None:
                own.batch_select_indices(rows)
            states = families.final_states(model, self.input_ids[rows, :width], None, own)
            if found is None:
                found = states.new_zeros(*self.mask.shape, states.shape[-1])
            places = torch.zeros_like(self.mask)
            places[rows, :width] = True
            found = found.masked_scatter(places[..., None], states)
        assert found is not None
        return found[self.mask]


def batch(
    tokens: Sequence[Tokens],
    rows: Sequence[int] | NDArray[np.int64],
    framing: Framing,
    device: str,
    chosen: Sequence[NDArray[np.bool_]] | None = None,
    prefix: Sequence[int] = (),
) -> Batch:
    """Put the records `rows` of `tokens` into one batch.

    Args:
        tokens: all records.
        rows: which of them; a row may be repeated.
        framing: how the model reads.
        device: where the tensors go.
        chosen: masked models: for each of `rows`, (tokens of the record,) which ones are hidden and
            predicted.
        prefix: masked models: visible tokens before the record that are not predicted.
    """
    lengths = np.array([len(tokens[row]) for row in rows])
    inside = np.arange(lengths.max()) < lengths[:, None]
    padded = np.full(inside.shape, framing.start, dtype=np.int64)
    padded[inside] = np.concatenate([tokens[row] for row in rows])
    if not framing.masked:
        shifted = np.concatenate([np.full((len(padded), 1), framing.start), padded[:, :-1]], axis=1)
        return _on(device, rows, shifted, inside, padded[inside])
    assert chosen is not None
    assert framing.mask is not None
    hidden = np.zeros_like(inside)
    hidden[inside] = np.concatenate(chosen)
    labels = padded[hidden]
    padded[hidden] = framing.mask
    return _on(device, rows, *_framed(padded, hidden, lengths, framing, prefix), labels)


def training_batch(
    tokens: Sequence[Tokens],
    rows: Sequence[int] | NDArray[np.int64],
    framing: Framing,
    device: str,
    *,
    vocabulary: int,
    share: float,
    seed: int,
    epoch: int,
) -> Batch:
    """A batch to train on; masks are a pure function of (seed, epoch, row).

    Of each record a masked model predicts `share` of the tokens, at least one; of these 80 % are
    hidden, 10 % replaced by a random token and 10 % left (Devlin et al. 2019, section 3.1).
    """
    if framing.mask is None:
        return batch(tokens, rows, framing, device)
    chosen, corrupted = [], []
    for row in rows:
        rng = seeding.stream(seed, "mask", epoch, int(row))
        length = len(tokens[row])
        places = rng.permutation(length)[: max(1, round(share * length))]
        picked = np.zeros(length, dtype=bool)
        picked[places] = True
        chosen.append(picked)
        count = int(picked.sum())
        fate = rng.random(count)
        replaced = np.where(fate < 0.9, rng.integers(0, vocabulary, count), tokens[row][picked])
        corrupted.append(np.where(fate < 0.8, framing.mask, replaced))
    made = batch(tokens, rows, framing, device, chosen)
    made.input_ids[made.mask] = torch.from_numpy(np.concatenate(corrupted)).to(device)
    return made


def _framed(
    padded: NDArray[np.int64],
    hidden: NDArray[np.bool_],
    lengths: NDArray[np.int64],
    framing: Framing,
    prefix: Sequence[int],
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """(input, mask, visible) with the start token and prefix before and the end token after."""
    count, before = len(padded), 1 + len(prefix)
    wide = np.full((count, before + padded.shape[1] + 1), framing.start, dtype=np.int64)
    wide[:, 1:before] = np.asarray(prefix, dtype=np.int64)
    wide[:, before:-1] = padded
    wide[np.arange(count), before + lengths] = framing.end
    mask = np.zeros(wide.shape, dtype=bool)
    mask[:, before:-1] = hidden
    return wide, mask, np.arange(wide.shape[1]) <= (before + lengths)[:, None]


def _on(
    device: str,
    rows: Sequence[int] | NDArray[np.int64],
    input_ids: NDArray[np.int64],
    mask: NDArray[np.bool_],
    *others: NDArray[np.generic],
) -> Batch:
    *visible, labels = (torch.from_numpy(array).to(device) for array in others)
    return Batch(
        rows=np.asarray(rows, dtype=np.int64),
        input_ids=torch.from_numpy(input_ids).to(device),
        mask=torch.from_numpy(mask).to(device),
        labels=labels,
        visible=visible[0] if visible else None,
    )


def epoch_order(records: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The batches of one epoch, as positions: a pure function of its arguments.

    Records are drawn without replacement; the last batch may be smaller.
    """
    order = seeding.stream(seed, "order", epoch).permutation(records)
    return np.array_split(order, range(batch_size, records, batch_size))


def by_length(lengths: NDArray[np.int64], batch_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Positions in batches of similar length, at most `batch_tokens` padded tokens each."""
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        size = max(1, batch_tokens // lengths[order[first]])
        yield order[first : first + size]
        first += size
