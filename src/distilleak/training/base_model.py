"""Training a base model on public text: what it learns from, and what it is measured on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from distilleak import seeding
from distilleak.floors import kneser_ney
from distilleak.models import making
from distilleak.records import tokenizer as tokenization
from distilleak.records.packing import hold_out, pack
from distilleak.records.public import Tokens, encode_all
from distilleak.records.texts import read_texts
from distilleak.settings.architecture import ModelSettings
from distilleak.settings.bases import BaseTrainingSettings
from distilleak.settings.training import HardwareSettings
from distilleak.training import language_model
from distilleak.training.heldout import mean_loss
from distilleak.training.snapshots import Snapshots

ROLE = "base"
UPDATES = 3
"""Of a short run."""


@dataclass(frozen=True)
class Beginning:
    """A base model before its training.

    Attributes:
        model: in float32, on the CPU.
        tokenizer: directory of its tokenizer.
        own: the passages that it learns from.
        rows: the same, packed.
        held_out: passages that it is measured on, cut to the length of a row.
        training: optimiser, batches and rows.
        seed: of all that is drawn.
    """

    model: PreTrainedModel
    tokenizer: Path
    own: Sequence[Tokens]
    rows: Sequence[Tokens]
    held_out: Sequence[Tokens]
    training: BaseTrainingSettings
    seed: int


def begin(
    passages: str | Path,
    tokenizer: str | Path,
    start: ModelSettings,
    training: BaseTrainingSettings,
    seed: int,
) -> Beginning:
    """The model and its rows, a pure function of the arguments.

    Args:
        passages: passages.parquet of its texts.
        tokenizer: directory of its tokenizer.
        start: its shape, or the checkpoint that it goes on from.
        training: how it is trained.
        seed: of weights, order of the passages and the held-out ones.

    Raises:
        DistilleakError: there are too few passages, or the model cannot be made.
    """
    tokens = encode_all(tokenization.load(tokenizer), read_texts(passages))
    own, held_out = hold_out(tokens, training.holdout, seed, passages)
    model = making.make(start, tokenizer, seeding.number(seed, ROLE))
    framing = making.framing(model, tokenizer)
    return Beginning(
        model=model,
        tokenizer=Path(tokenizer),
        own=own,
        rows=pack(own, framing.separator, training.row, seeding.stream(seed, "pack")),
        held_out=[passage[: training.row] for passage in held_out],
        training=training,
        seed=seed,
    )


def learn(
    base: Beginning, hardware: HardwareSettings, snapshots: Snapshots | None
) -> dict[str, Any]:
    """Train the model of `base` in place; returns the facts of its training."""
    return language_model.learn(
        base.model,
        base.rows,
        base.tokenizer,
        ROLE,
        base.training,
        hardware,
        seeding.number(base.seed, ROLE),
        snapshots,
    )


def heldout_loss(base: Beginning) -> float:
    """The model's loss on the held-out passages, in nats per token."""
    framing = making.framing(base.model, base.tokenizer)
    base.model.eval()  # type: ignore[no-untyped-call]
    share = base.training.mask_share
    return mean_loss(base.model, base.held_out, framing, share=share, seed=base.seed)


def measure(base: Beginning) -> dict[str, float]:
    """Held-out loss of the model and of count models of the same texts, in nats per token."""
    vocabulary = tokenization.rows(tokenization.load(base.tokenizer))
    floors = {
        f"{name}_loss": -float(
            kneser_ney.fit(base.own, order, vocabulary).score(base.held_out)[0].mean()
        )
        for name, order in (("bigram", 2), ("trigram", 3))
    }
    return {
        "passages": len(base.own),
        "heldout_tokens": sum(map(len, base.held_out)),
        "heldout_loss": heldout_loss(base),
        **floors,
    }


def short_run(base: Beginning) -> dict[str, Any]:
    """What the first updates of a training give: the same on every machine, but for rounding.

    Returns:
        SHA-256 of tokenizer and packed rows, and the loss in each of the first `UPDATES` updates.
    """
    size = base.training.batch_size
    some = base.training.model_copy(update={"epochs": UPDATES})
    # One batch an epoch, so that the facts hold the loss of each.
    facts = learn(
        Beginning(**{**vars(base), "rows": base.rows[:size], "training": some}),
        HardwareSettings(precision="float32"),
        None,
    )
    rows = np.concatenate(base.rows)
    return {
        "tokenizer_sha256": hashlib.sha256(
            (base.tokenizer / tokenization.FILES[0]).read_bytes()
        ).hexdigest(),
        "rows_sha256": hashlib.sha256(rows.astype("<i4").tobytes()).hexdigest(),
        "loss": facts["loss"],
    }
