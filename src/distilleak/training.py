"""The training loop of every model: teacher, references and students."""

import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from distilleak.batches import Batch, Tokens, batch, epoch_order
from distilleak.errors import DistilleakError
from distilleak.settings.training import TrainingSettings

log = logging.getLogger(__name__)

Loss = Callable[[Batch, torch.Tensor], torch.Tensor]
"""(batch, student logits (n, vocabulary)) -> mean loss over the batch's n tokens."""


def train(
    model: PreTrainedModel,
    tokens: Sequence[Tokens],
    loss_of: Loss,
    settings: TrainingSettings,
    *,
    steps: int,
    start: int,
    seed: int,
) -> dict[str, Any]:
    """Train `model` in place for `steps` updates on records `tokens`; one record a row.

    Batches are a pure function of (seed, epoch), so that students with the same records see them
    in the same order. Returns the mean loss per epoch and the numbers of updates and tokens seen.

    Raises:
        DistilleakError: the loss or a weight became NaN or infinite.
    """
    device = model.device.type
    optimiser = _optimiser(model, settings)
    warmup = round(settings.warmup * steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _learning_rate(step, warmup, steps)
    )
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    model.train()
    began, seen, step, epoch = time.perf_counter(), 0, 0, 0
    history: list[float] = []
    with tqdm(total=steps, unit="step", disable=not sys.stderr.isatty()) as bar:
        while step < steps:
            losses, counts = [], []
            for rows in epoch_order(len(tokens), settings.batch_size, seed, epoch)[: steps - step]:
                now = batch(tokens, rows, start, device)
                loss = loss_of(now, head(now.hidden_states(model)))
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
                optimiser.step()
                schedule.step()
                optimiser.zero_grad()
                losses.append(loss.detach())
                counts.append(len(now.labels))
                step += 1
                bar.update()
            epoch += 1
            seen += sum(counts)
            history.append(_mean(losses, counts, epoch))
            seconds = time.perf_counter() - began
            log.info(
                "epoch %d (%d of %d updates): loss %.4f, %d tokens/s, %d s left",
                epoch, step, steps, history[-1], seen / seconds, seconds / step * (steps - step),
            )  # fmt: skip
    # A last gradient that overflows does not show in the loss any more.
    if not all(torch.isfinite(weight).all() for weight in model.parameters()):
        raise _diverged("a weight", float("nan"), epoch)
    model.eval()  # type: ignore[no-untyped-call]
    return {"loss": history, "updates": steps, "training_tokens": seen}


def updates(records: int, settings: TrainingSettings) -> int:
    """Updates in the configured epochs over `records` records."""
    return settings.epochs * math.ceil(records / settings.batch_size)


def _optimiser(model: PreTrainedModel, settings: TrainingSettings) -> torch.optim.Optimizer:
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _learning_rate(step: int, warmup: int, steps: int) -> float:
    """Factor on the peak: linear from 0 to 1 in the warm-up, then half a cosine to 0."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _mean(losses: list[torch.Tensor], counts: list[int], epoch: int) -> float:
    mean = float(np.average(torch.stack(losses).double().cpu().numpy(), weights=counts))
    if not math.isfinite(mean):
        raise _diverged("the loss", mean, epoch)
    return mean


def _diverged(what: str, value: float, epoch: int) -> DistilleakError:
    return DistilleakError(
        f"{what} became {value} in epoch {epoch}; lower the learning rate or the clip"
    )
