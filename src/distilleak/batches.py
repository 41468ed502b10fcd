"""Batches of records: padding, masks, and the hidden states from which every token is predicted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel

from distilleak import seeding

Tokens = NDArray[np.integer]


@dataclass(frozen=True)
class Batch:
    """Records side by side, padded at the end.

    Every record is preceded by the start token, so that its first token is predicted as well:
    position t of a row holds token t - 1 and predicts token t.

    Attributes:
        rows: (B,) the positions of the records in the sequence that they were taken from.
        input_ids: (B, T) start token, then all tokens but the last.
        mask: (B, T) bool, True where a token of the record is predicted.
        labels: (n,) the predicted tokens, record after record; n = mask.sum().
    """

    rows: NDArray[np.int64]
    input_ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor

    def hidden_states(
        self, model: PreTrainedModel, past: DynamicCache | None = None
    ) -> torch.Tensor:
        """The final hidden states at the predicting positions, (n, d), record after record.

        No attention mask is passed: padding follows the text, where a causal model cannot see it.
        `past` holds what the model has read before the first token of every row.
        """
        hidden = model.base_model(
            input_ids=self.input_ids, past_key_values=past, use_cache=past is not None
        ).last_hidden_state
        return hidden[self.mask]  # type: ignore[no-any-return]


def batch(
    tokens: Sequence[Tokens], rows: Sequence[int] | NDArray[np.int64], start: int, device: str
) -> Batch:
    """Put the records `rows` of `tokens` into one batch; `start` is the start token."""
    lengths = np.array([len(tokens[row]) for row in rows])
    width = lengths.max()
    mask = np.arange(width) < lengths[:, None]
    labels = np.concatenate([tokens[row] for row in rows]).astype(np.int64)
    padded = np.full(mask.shape, start, dtype=np.int64)
    padded[mask] = labels
    shifted = np.concatenate([np.full((len(padded), 1), start), padded[:, :-1]], axis=1)
    return Batch(
        rows=np.asarray(rows, dtype=np.int64),
        input_ids=torch.from_numpy(shifted).to(device),
        mask=torch.from_numpy(mask).to(device),
        labels=torch.from_numpy(labels).to(device),
    )


def epoch_order(records: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The batches of one epoch, as positions: a pure function of its arguments.

    Records are drawn without replacement; the last batch may be smaller.
    """
    order = seeding.stream(seed, "order", epoch).permutation(records)
    return np.array_split(order, range(batch_size, records, batch_size))


def by_length(tokens: Sequence[Tokens], batch_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Positions in batches of similar length, at most `batch_tokens` padded tokens each."""
    lengths = np.array([len(record) for record in tokens])
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        size = max(1, batch_tokens // lengths[order[first]])
        yield order[first : first + size]
        first += size
