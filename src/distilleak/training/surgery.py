"""Surgery on a student before its training, and what that does to its held-out loss."""

import logging
import math
from pathlib import Path

from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.machine import processes
from distilleak.models import families, making
from distilleak.models.batches import Batch, epoch_order, training_batch
from distilleak.records.framing import Framing
from distilleak.records.table import read_records
from distilleak.settings.training import TrainingSettings
from distilleak.training.choice import Choice
from distilleak.training.heldout import mean_loss

log = logging.getLogger(__name__)

START_BATCHES = 8
"""Training batches from which a changed architecture takes its starting values."""


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
