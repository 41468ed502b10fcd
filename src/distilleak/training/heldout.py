"""The loss of a model on records that it does not learn from."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from transformers import PreTrainedModel

from distilleak.machine import processes
from distilleak.models import families
from distilleak.models.batches import Tokens, by_length, training_batch
from distilleak.records.framing import Framing

_TOKENS = 2048
"""Padded tokens that the model reads at once: less than an update of its training holds."""
_LOGITS = 2**24
"""Logits that are held at once."""


@torch.no_grad()
def mean_loss(
    model: PreTrainedModel, tokens: Sequence[Tokens], framing: Framing, *, share: float, seed: int
) -> float:
    """The mean loss in nats per token of the records `tokens`, which processes divide among them.

    Args:
        model: in evaluation mode.
        tokens: the records.
        framing: how the model reads a record.
        share: masked models: of a record's tokens, how many are hidden and predicted, as in
            training.
        seed: of the masks.
    """
    lengths = np.array([len(record) for record in tokens], dtype=np.int64)
    total = torch.zeros((), dtype=torch.float64, device=model.device)
    count = 0
    size = max(1, _LOGITS // model.config.vocab_size)
    for rows in list(by_length(lengths, _TOKENS))[processes.rank() :: processes.world()]:
        now = training_batch(
            tokens,
            rows,
            framing,
            str(model.device),
            vocabulary=model.config.vocab_size,
            share=share,
            seed=seed,
            epoch=0,
        )
        hidden = now.hidden_states(model)
        chunks = torch.split(hidden, size), torch.split(now.labels, size)
        for states, labels in zip(*chunks, strict=True):
            logits = families.logits(model, states).float()
            total += F.cross_entropy(logits, labels, reduction="none").sum(dtype=torch.float64)
        count += len(now.labels)
    return float(processes.total(total)) / processes.total_count(count, model.device)
