"""Training a model by its language-modelling loss: the teacher, or a reference model."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from distilleak import seeding
from distilleak.machine import processes
from distilleak.models import making
from distilleak.models.batches import Tokens
from distilleak.records.table import extent, read_records, read_training_set
from distilleak.settings.objective import ObjectiveSettings
from distilleak.settings.training import HardwareSettings, TrainingSettings
from distilleak.training import loop
from distilleak.training.objective import accumulate
from distilleak.training.snapshots import Snapshots

log = logging.getLogger(__name__)


def read_tokens(records: str | Path, role: str, seed: int) -> Sequence[Tokens]:
    """The teacher's records; of a reference model, a draw of its own from the auxiliary pool.

    The draw is as large as the teacher's training set, where the pool has as many: how strongly a
    model fits a record depends on how many it is trained on.
    """
    if role == "teacher":
        return read_training_set(records, "teacher").tokens
    auxiliary = read_records(records, ["auxiliary"])
    size, _ = extent(records, ["member"])
    order = seeding.stream(seed, f"draw {role}").permutation(len(auxiliary.tokens))
    return [auxiliary.tokens[row] for row in np.sort(order[:size])]


def learn(
    model: PreTrainedModel,
    tokens: Sequence[Tokens],
    tokenizer: str | Path,
    role: str,
    training: TrainingSettings,
    hardware: HardwareSettings,
    seed: int,
    snapshots: Snapshots | None,
) -> dict[str, Any]:
    """Train `model` in place on the records `tokens`; returns the facts of its training."""
    framing = making.framing(model, tokenizer)
    making.check_length(model, framing, tokens)
    if processes.is_main():
        parameters = model.num_parameters()
        count = len(tokens)
        log.info("%s: %d parameters, %d records, on %s", role, parameters, count, model.device)
    alone = ObjectiveSettings(alpha=1.0)
    facts = loop.train(
        model,
        tokens,
        framing,
        lambda now, tokens: accumulate(model, now, alone, None, tokens),
        training,
        hardware,
        steps=loop.updates(len(tokens), training),
        seed=seed,
        snapshots=snapshots,
    )
    return facts | {"parameters": model.num_parameters(), "training_records": len(tokens)}
