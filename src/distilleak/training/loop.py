"""The training loop of every model: teacher, references and students."""

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import PreTrainedModel

from distilleak import seeding
from distilleak.errors import DistilleakError
from distilleak.machine import processes, signals
from distilleak.models.batches import Batch, Tokens, epoch_order, training_batch
from distilleak.records.framing import Framing
from distilleak.settings.training import HardwareSettings, TrainingSettings
from distilleak.training import privacy
from distilleak.training.hardware import accumulate_update, training_mode
from distilleak.training.snapshots import Snapshots

log = logging.getLogger(__name__)

Accumulate = Callable[[Batch, int], torch.Tensor]
"""(batch, tokens of the whole update) -> detached float64 sum of the losses of the batch's tokens,
shape (); adds the gradient of that sum divided by `tokens` to the parameters' `.grad`."""
Keep = Callable[[int, dict[str, Any]], None]
"""(finished epochs, what `train` would return if it ended here): called after each epoch but the
last, with the model as it is then."""
LOG_SECONDS = 60
"""Longest time without a line in the log."""


@dataclass
class _Progress:
    """What has been done: with weights and optimiser, the complete state of a training.

    Attributes:
        rows: records in a forward pass; it falls when the memory runs out.
        step: updates done.
        seen: tokens predicted in them, over all processes.
        seconds: time that they took.
        loss: sum of the losses of the current epoch so far, in nats.
        tokens: tokens predicted in the current epoch so far.
        history: mean loss of every finished epoch.
    """

    rows: int
    step: int = 0
    seen: int = 0
    seconds: float = 0.0
    loss: float | torch.Tensor = 0.0
    tokens: int = 0
    history: list[float] = field(default_factory=list)

    def add(self, loss: torch.Tensor, tokens: int) -> None:
        """Count one update."""
        self.step += 1
        self.seen += tokens
        self.tokens += tokens
        self.loss = self.loss + loss

    def mean(self, epoch: int) -> float:
        """Mean loss of the current epoch.

        Raises:
            DistilleakError: it is not finite.
        """
        mean = float(self.loss) / max(1, self.tokens)
        if not math.isfinite(mean):
            raise _diverged("the loss", mean, epoch)
        return mean

    def end_epoch(self, mean: float) -> None:
        self.history.append(mean)
        self.loss, self.tokens = 0.0, 0

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "loss": float(self.loss)}


def train(
    model: PreTrainedModel,
    tokens: Sequence[Tokens],
    framing: Framing,
    accumulate: Accumulate,
    settings: TrainingSettings,
    hardware: HardwareSettings,
    *,
    steps: int,
    seed: int,
    snapshots: Snapshots | None,
    keep: Keep | None = None,
    rates: Mapping[str, float] = MappingProxyType({}),
) -> dict[str, Any]:
    """Train `model` in place for `steps` updates on records `tokens`; one record a row.

    Batches, masks and everything drawn from torch's generators in an update are pure functions of
    (seed, step): students with the same records see them in the same order, and a training that
    was interrupted ends with the same bits as one that was not. The processes of this job divide
    the records of an update among them.

    Args:
        model: float32 weights, on the device of this process; left in evaluation mode.
        tokens: the records.
        framing: how the model reads a record.
        accumulate: the objective: losses and gradient of a batch of an update. It runs under
            autocast.
        settings: optimiser and batches.
        hardware: precision and memory; they change the result by rounding only.
        steps: updates in all, those before an interruption included.
        seed: of batches, masks and dropout.
        snapshots: where the state is saved and read; None: it is not.
        keep: called after every epoch but the last.
        rates: parameters that are trained at a rate of their own: name -> factor on the learning
            rate.

    Returns:
        The mean loss per epoch and the numbers of updates and of predicted tokens; with DP-SGD also
        what it guarantees.

    Raises:
        DistilleakError: the loss or a weight became NaN or infinite, the memory does not hold a
            single record, or the device lacks the precision.
        Interrupted: a signal arrived; the state is saved.
    """
    lengths = np.array([len(record) for record in tokens], dtype=np.int64)
    optimiser = _optimiser(model, settings, rates)
    progress = _start(snapshots, model, optimiser, hardware.micro_batch or settings.batch_size)
    began = time.perf_counter() - progress.seconds
    logged = time.perf_counter()
    main = processes.is_main()
    budget = settings.privacy
    guarantee: dict[str, Any] = {}
    if budget is not None:
        sigma = privacy.noise_multiplier(budget, len(tokens), settings.batch_size, steps)
        guarantee = {"dp_epsilon": budget.epsilon, "dp_delta": budget.delta, "dp_noise": sigma}
    with (
        training_mode(model, hardware) as autocast,
        signals.noticed() if snapshots else nullcontext(lambda: False) as interrupted,
        tqdm(
            total=steps,
            initial=progress.step,
            unit="step",
            disable=not (main and sys.stderr.isatty()),
        ) as bar,
    ):

        def run(batch: Batch, count: int) -> torch.Tensor:
            with autocast:
                return accumulate(batch, count)

        for epoch, rows, ends in _schedule(len(tokens), settings, seed, progress.step, steps):

            def make(rows: NDArray[np.int64], epoch: int = epoch) -> Batch:
                return training_batch(
                    tokens,
                    rows,
                    framing,
                    str(model.device),
                    vocabulary=model.config.vocab_size,
                    share=settings.mask_share,
                    seed=seed,
                    epoch=epoch,
                )

            draws = seeding.number(seed, "update", progress.step, processes.rank())
            if budget is None:
                loss, count, progress.rows = accumulate_update(
                    run, make, rows, lengths, progress.rows, model, draws
                )
                processes.sum_gradients(model.parameters())
            else:
                loss, count = privacy.accumulate_clipped(
                    run, make, rows, model, budget.record_clip, draws
                )
                processes.sum_gradients(model.parameters())
                privacy.add_noise(
                    model, sigma * budget.record_clip, settings.batch_size, seed, progress.step
                )
            rate = settings.learning_rate * _learning_rate(progress.step, steps, settings.warmup)
            _update(model, optimiser, rate, settings.clip)
            progress.add(processes.total(loss), count)
            bar.update()

            now = time.perf_counter()
            if ends or now - logged >= LOG_SECONDS:
                progress.seconds, logged = now - began, now
                mean = progress.mean(epoch + 1)
                if main:
                    _log(progress, mean, epoch + 1, steps)
            if ends:
                progress.end_epoch(mean)
                if keep is not None and progress.step < steps:
                    keep(len(progress.history), _facts(progress) | guarantee)
            if snapshots is None:
                continue
            stop = processes.any_of(interrupted(), model.device)
            if stop or processes.any_of(snapshots.due(), model.device):
                progress.seconds = time.perf_counter() - began
                snapshots.save(model, optimiser, progress.as_json())
                if stop:
                    raise signals.Interrupted(f"step {progress.step}")
    # A last gradient that overflows does not show in the loss any more.
    if not all(torch.isfinite(weight).all() for weight in model.parameters()):
        raise _diverged("a weight", math.nan, len(progress.history))
    return _facts(progress) | guarantee


def _facts(progress: _Progress) -> dict[str, Any]:
    return {
        "loss": list(progress.history),
        "updates": progress.step,
        "training_tokens": progress.seen,
    }


def updates(records: int, settings: TrainingSettings) -> int:
    """Updates in the configured epochs over `records` records."""
    return settings.epochs * math.ceil(records / settings.batch_size)


def _start(
    snapshots: Snapshots | None,
    model: PreTrainedModel,
    optimiser: torch.optim.Optimizer,
    rows: int,
) -> _Progress:
    """The progress of the last snapshot, which is put into model and optimiser, or none."""
    saved = None if snapshots is None else snapshots.load(model, optimiser)
    if saved is None:
        return _Progress(rows)
    log.info("continuing from step %d", saved["step"])
    return _Progress(**{**saved, "rows": min(rows, saved["rows"])})


def _schedule(
    records: int, settings: TrainingSettings, seed: int, first: int, steps: int
) -> Iterator[tuple[int, NDArray[np.int64], bool]]:
    """(epoch, rows, whether the epoch ends with it) of the updates from `first` to `steps`."""
    while first < steps:
        per_epoch = math.ceil(records / settings.batch_size)
        epoch, done = divmod(first, per_epoch)
        if settings.privacy is not None:
            order = [
                privacy.sample(records, settings.batch_size, seed, epoch * per_epoch + update)
                for update in range(per_epoch)
            ]
        else:
            order = epoch_order(records, settings.batch_size, seed, epoch)
        for rows in order[done:][: steps - first]:
            first += 1
            yield epoch, rows, first % per_epoch == 0 or first == steps


def _optimiser(
    model: PreTrainedModel, settings: TrainingSettings, rates: Mapping[str, float]
) -> torch.optim.Optimizer:
    """AdamW, in whose groups `factor` is on the learning rate: matrices and others of each."""
    groups = []
    for factor in sorted({1.0, *rates.values()}):
        own = [
            weight for name, weight in model.named_parameters() if rates.get(name, 1.0) == factor
        ]
        for weights, decay in (
            ([weight for weight in own if weight.dim() > 1], settings.weight_decay),
            ([weight for weight in own if weight.dim() <= 1], 0.0),
        ):
            if weights:
                groups.append({"params": weights, "weight_decay": decay, "factor": factor})
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _update(
    model: PreTrainedModel, optimiser: torch.optim.Optimizer, rate: float, clip: float
) -> None:
    """Clip the gradient, move the weights, and drop the gradient."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
    try:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimiser.step()
    except torch.OutOfMemoryError as error:
        raise DistilleakError(
            "out of memory: weights, gradient and optimiser, 16 bytes a parameter, do not fit; "
            "choose a smaller model"
        ) from error
    optimiser.zero_grad()


def _learning_rate(step: int, steps: int, share: float) -> float:
    """Factor on the peak: linear from 0 to 1 in the warm-up, then half a cosine to 0.

    `share` is that of the warm-up in all steps.
    """
    warmup = round(share * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _log(progress: _Progress, mean: float, epoch: int, steps: int) -> None:
    left = progress.seconds / progress.step * (steps - progress.step)
    log.info(
        "epoch %d, step %d of %d: loss %.4f, %d tokens/s, %s left",
        epoch,
        progress.step,
        steps,
        mean,
        progress.seen / progress.seconds,
        timedelta(seconds=round(left)),
    )


def _diverged(what: str, value: float, epoch: int) -> DistilleakError:
    return DistilleakError(
        f"{what} became {value} in epoch {epoch}; lower the learning rate or the clip"
    )
