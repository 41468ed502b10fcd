"""Surgery on a student before its training, and what that does to its held-out loss."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.machine import processes
from distilleak.models import families, making
from distilleak.models.batches import Batch, Tokens, by_length, epoch_order, training_batch
from distilleak.records.framing import Framing
from distilleak.records.table import read_records
from distilleak.settings.training import TrainingSettings
from distilleak.training.choice import Choice

log = logging.getLogger(__name__)

START_BATCHES = 8
"""Training batches from which a changed architecture takes its starting values."""
_TOKENS = 2048
"""Padded tokens that the model reads at once: less than an update of its training holds."""
_LOGITS = 2**24
"""Logits that are held at once."""


def operate(
    student: PreTrainedModel,
    choice: Choice,
    training: TrainingSettings,
    framing: Framing,
    records: str | Path,
    seed: int,
) -> tuple[PreTrainedModel, dict[str, float]]:
    """The student with the architecture of its method, started, and the facts of its surgery.

    These are its losses on the hold-out of records.parquet, before surgery and after it; none where
    the method leaves the architecture as it is. A pure function of the arguments, so that a
    training that is resumed finds the same.

    Raises:
        DistilleakError: there is no hold-out, the student cannot read it, or its loss after surgery
            is not finite.
    """
    method = choice.method
    changes = method.surgery(families.width(student), families.head_width(student))
    if not changes:
        return student, {}
    tokens = read_records(records, ["holdout"]).tokens
    making.check_length(student, framing, tokens)

    def loss(model: PreTrainedModel) -> float:
        return mean_loss(model, tokens, framing, share=training.mask_share, seed=seed)

    student.eval()  # type: ignore[no-untyped-call]
    changed = making.change(student, changes, seed)
    method.start(changed, _first_batches(student, choice, training, framing, seed))
    before, after = loss(student), loss(changed)
    if not math.isfinite(after):
        raise DistilleakError(
            f"{choice.name}: the student's held-out loss is {before:.3f} nats per token before "
            f"surgery and {after} after it; choose other parameters or another student"
        )
    if processes.is_main():
        log.info("held-out loss %.3f before surgery and %.3f after it, untrained", before, after)
    return changed, {"loss_before_surgery": before, "loss_after_surgery": after}


def _first_batches(
    student: PreTrainedModel,
    choice: Choice,
    training: TrainingSettings,
    framing: Framing,
    seed: int,
) -> list[Batch]:
    tokens = [choice.source.tokens[row] for row in choice.selected]
    return [
        training_batch(
            tokens,
            rows,
            framing,
            str(student.device),
            vocabulary=student.config.vocab_size,
            share=training.mask_share,
            seed=seed,
            epoch=0,
        )
        for rows in epoch_order(len(tokens), training.batch_size, seed, 0)[:START_BATCHES]
    ]


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
