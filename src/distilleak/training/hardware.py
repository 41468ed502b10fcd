"""How the machine is used in training: precision, and forward passes that fit its memory."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.machine import memory, processes
from distilleak.machine.precision import has_bfloat16
from distilleak.models.batches import Batch
from distilleak.settings.training import HardwareSettings

log = logging.getLogger(__name__)

Rows = NDArray[np.int64]


@contextmanager
def training_mode(model: PreTrainedModel, hardware: HardwareSettings) -> Iterator[torch.autocast]:
    """The model in training mode inside the block, and in evaluation mode after it.

    Yields the context of forward and backward passes. It must not stay open over an update of the
    weights, of which it may keep bfloat16 copies.

    Raises:
        DistilleakError: the device or the model lacks what `hardware` requires.
    """
    kind = model.device.type
    reduced = reduced_precision(hardware, kind)
    products = torch.get_float32_matmul_precision()
    if hardware.gradient_checkpointing and not model.supports_gradient_checkpointing:
        raise DistilleakError(
            f"gradient_checkpointing: not available for model type {model.config.model_type!r}"
        )
    base: Any = model.base_model
    try:
        if kind == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32; evidence is computed without it
        if hardware.gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        if hardware.compile:
            # Again, so that the compiler hears of it (see `making.prepare`).
            torch.use_deterministic_algorithms(
                torch.are_deterministic_algorithms_enabled(),
                warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
            )
            base.compile()
        model.train()
        yield torch.autocast(kind, torch.bfloat16, enabled=reduced)
    finally:
        model.eval()  # type: ignore[no-untyped-call]
        # The inverse of `compile`, which torch lacks.
        base._compiled_call_impl = None
        if hardware.gradient_checkpointing:
            model.activation_checkpointing_disable()  # type: ignore[no-untyped-call]
            model.disable_input_require_grads()  # type: ignore[no-untyped-call]
        torch.set_float32_matmul_precision(products)


def reduced_precision(hardware: HardwareSettings, kind: str) -> bool:
    """Whether matrix products are in bfloat16 on a device of this kind, `cpu` or `cuda`.

    Raises:
        DistilleakError: bfloat16 is required and the GPU can at best imitate it.
    """
    if hardware.precision == "auto":
        return kind == "cuda" and has_bfloat16(kind)
    if hardware.precision == "bfloat16":
        if not has_bfloat16(kind):
            raise DistilleakError(
                "precision: this GPU has no bfloat16; allowed here are auto and float32"
            )
        if kind == "cpu":
            log.warning("precision: bfloat16 is many times slower than float32 on a CPU")
    return hardware.precision == "bfloat16"


def accumulate_update(
    run: Callable[[Batch, int], torch.Tensor],
    make: Callable[[Rows], Batch],
    rows: Rows,
    lengths: NDArray[np.int64],
    most: int,
    model: PreTrainedModel,
    draws: int,
) -> tuple[torch.Tensor, int, int]:
    """Add the gradient of one update to the parameters, in as many passes as the memory needs.

    This process takes its share of `rows`, longest records first, `most` a pass. When memory runs
    out, it repeats the update with half as many. The caller sums over processes.

    Args:
        run: (batch of a pass, tokens of the whole update) -> sum of the batch's losses.
        make: rows -> their batch.
        rows: (records of the update,) over all processes.
        lengths: (records,) tokens of every record.
        most: records a pass, at least 1.
        model: whose gradients are empty before the call.
        draws: seed of dropout in this update and process.

    Returns:
        The sum of this process's losses, the tokens of the whole update, and `most` as it is now.

    Raises:
        DistilleakError: there is no room for a single record.
    """
    rows = rows[processes.rank() :: processes.world()]
    passes = divided(rows, lengths, most)
    tokens: int | None = None
    while True:
        made = [make(pass_) for pass_ in passes]
        if tokens is None:  # counted once, since all processes must count equally often
            own = sum(len(batch.labels) for batch in made)
            tokens = processes.total_count(own, model.device)
        torch.manual_seed(draws)
        total = memory.attempt(partial(_total, run, made, tokens, model.device))
        if total is not None:
            return total, tokens, most
        model.zero_grad()
        if len(passes) == len(rows):
            raise DistilleakError(
                f"out of memory: a record of {lengths[rows].max()} tokens does not fit; set "
                "gradient_checkpointing, choose a smaller model, or leave out records that long"
            )
        most = memory.halve(min(most, len(rows)), "records")
        passes = divided(rows, lengths, most)


def _total(
    run: Callable[[Batch, int], torch.Tensor],
    batches: Sequence[Batch],
    tokens: int,
    device: torch.device,
) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64, device=device)
    for batch in batches:
        total += run(batch, tokens)
    return total


def divided(rows: Rows, lengths: NDArray[np.int64], most: int) -> list[Rows]:
    """Rows in passes of at most `most`; records of like length together, so that padding is small.

    The longest come first: if they do not fit, that is known at once.
    """
    if len(rows) > most:
        rows = rows[np.argsort(-lengths[rows], kind="stable")]
    return np.array_split(rows, range(most, len(rows), most)) if len(rows) else []
