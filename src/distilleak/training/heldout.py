"""The loss of a model on records that it does not learn from."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from distilleak.models import families
from distilleak.models.batches import Tokens, by_length, training_batch
from distilleak.records.framing import Framing
from distilleak.settings.training import TrainingSettings

BATCH_TOKENS = 4096
"""Tokens of a forward pass."""
SHARE = float(TrainingSettings.model_fields["mask_share"].default)
"""Share of the tokens that a masked model predicts."""


@torch.no_grad()
def loss(model: PreTrainedModel, tokens: Sequence[Tokens], framing: Framing, seed: int) -> float:
    """Nats per token on the records `tokens`; of a masked model on those that `seed` hides."""
    kept = model.training
    model.eval()  # type: ignore[no-untyped-call]
    lengths = np.array([len(record) for record in tokens], dtype=np.int64)
    total, count = 0.0, 0
    for rows in by_length(lengths, BATCH_TOKENS):
        batch = training_batch(
            tokens,
            rows,
            framing,
            str(model.device),
            vocabulary=model.config.vocab_size,
            share=SHARE,
            seed=seed,
            epoch=0,
        )
        logits = families.logits(model, batch.hidden_states(model)).float()
        total += float(torch.nn.functional.cross_entropy(logits, batch.labels, reduction="sum"))
        count += len(batch.labels)
    model.train(kept)
    return total / count
