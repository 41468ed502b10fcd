"""Trainings of a second, for tests that end, divide or kill them; importable by a bare process."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from distilleak.files import read_json, write_json
from distilleak.machine import processes
from distilleak.models import families
from distilleak.models.batches import Batch, Tokens
from distilleak.records.framing import Framing
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.settings.training import HardwareSettings, TrainingSettings
from distilleak.stages import base
from distilleak.training import heldout, loop, snapshots
from distilleak.training.snapshots import Snapshots

VOCABULARY = 50
CAUSAL, MASKED = Framing(start=0), Framing(start=0, end=1, mask=2)
DROPOUT = {
    "gpt2": {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1},
    "bert": {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
}
FINGERPRINT = "0" * 64
SEED = 3
STEPS = 12


def tiny(
    family: str = "gpt2", dropout: bool = False, double: bool = False, **options: Any
) -> tuple[PreTrainedModel, Framing]:
    """A model whose every weight is random: no bias is 0 and no norm is 1.

    `double`: in float64. In float32 the sign of an Adam step is arbitrary where the gradient is
    rounding error, as it is for the biases of keys.
    """
    shape = {"type": family, "layers": 2, "width": 16, "heads": 2, "positions": 32}
    shape["options"] = options | (DROPOUT[family] if dropout else {})
    torch.manual_seed(0)
    model = families.build(ArchitectureSettings.model_validate(shape), VOCABULARY, 0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    return model.double() if double else model, CAUSAL if families.of(
        model
    ).kind == "causal" else MASKED


def records(count: int = 10, longest: int = 12) -> list[Tokens]:
    rng = np.random.default_rng(1)
    return [rng.integers(3, VOCABULARY, length) for length in rng.integers(1, longest + 1, count)]


def cross_entropy(model: PreTrainedModel) -> loop.Accumulate:
    """The plain objective, by torch's own cross-entropy."""

    def accumulate(now: Batch, tokens: int) -> torch.Tensor:
        logits = families.logits(model, now.hidden_states(model))
        if logits.dtype == torch.bfloat16:
            logits = logits.float()
        loss = F.cross_entropy(logits, now.labels, reduction="sum")
        (loss / tokens).backward()  # type: ignore[no-untyped-call]
        return loss.detach().double()

    return accumulate


def settings(**changes: Any) -> TrainingSettings:
    given = {"epochs": 1, "batch_size": 4, "learning_rate": 0.01, **changes}
    return TrainingSettings.model_validate(given)


def train(
    model: PreTrainedModel,
    framing: Framing,
    accumulate: loop.Accumulate | None = None,
    steps: int = STEPS,
    seed: int = SEED,
    given: TrainingSettings | None = None,
    kept: Snapshots | None = None,
    tokens: list[Tokens] | None = None,
    rates: Mapping[str, float] = MappingProxyType({}),
    **hardware: Any,
) -> dict[str, Any]:
    return loop.train(
        model,
        records() if tokens is None else tokens,
        framing,
        accumulate or cross_entropy(model),
        given or settings(),
        HardwareSettings.model_validate(hardware),
        steps=steps,
        seed=seed,
        snapshots=kept,
        rates=rates,
    )


def weights(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def start(root: Path, family: str, **options: Any) -> BaseProcess:
    """Start `run` in a process."""
    return fork(run, str(root), family, **options)


def fork(target: Callable[..., None], *arguments: Any, **options: Any) -> BaseProcess:
    """Start a process, forked from one that has imported torch: it is there in milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        # The first process is started without pytest's search path.
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        multiprocessing.set_forkserver_preload(["tiny_training"])
        forkserver.ensure_running()
    process = multiprocessing.get_context("forkserver").Process(
        target=target, args=arguments, kwargs=options
    )
    process.start()
    return process


def finish(root: Path, family: str, **options: Any) -> int | None:
    """The exit status of `run` in a process."""
    process = start(root, family, **options)
    process.join(60)
    return process.exitcode


def result(root: Path) -> tuple[torch.Tensor, dict[str, Any]]:
    """What `run` has written: the weights and the facts."""
    return load_file(root / "model.safetensors")["weights"], read_json(root / "facts.json")


def run(
    root: str,
    family: str,
    minutes: float = 1e-9,
    before: Callable[[], None] = lambda: None,
    signals: Mapping[int, int] = MappingProxyType({}),
    double: bool = False,
    pause: float = 0.0,
    **hardware: Any,
) -> None:
    """A stage: trains a model in `root`, or goes on, and writes weights and facts.

    Args:
        root: its directory.
        family: of the model.
        minutes: between snapshots; at 1e-9 every update is followed by one.
        before: what the process does before it trains.
        signals: forward pass of this process -> signal that it sends itself in it.
        double: train in float64 and without dropout, else in float32 and with it.
        pause: seconds before every forward pass.
        hardware: settings.
    """

    def main(_: object) -> None:
        torch.set_num_threads(1)
        before()
        with processes.processes():
            model, framing = tiny(family, dropout=not double, double=double)
            kept = Snapshots(Path(root, "snapshots"), FINGERPRINT, minutes)
            plain, calls = cross_entropy(model), []

            def accumulate(now: Batch, tokens: int) -> torch.Tensor:
                calls.append(now)
                time.sleep(pause)
                if len(calls) in signals:
                    os.kill(os.getpid(), signals[len(calls)])
                return plain(now, tokens)

            facts = train(model, framing, accumulate, kept=kept, **hardware)
            if processes.is_main():
                save_file({"weights": weights(model)}, Path(root, "model.safetensors"))
                write_json({**facts, "calls": len(calls)}, Path(root, "facts.json"))
            kept.finish()

    base.run(main, [])


def one_of_several(rank: int, world: int, port: int) -> None:
    """What torchrun tells each of its processes."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def sum_own_gradients(root: str, rank: int, port: int) -> None:
    """Of three weights the first has a gradient in process 0 only, the second nowhere."""
    one_of_several(rank, 2, port)
    shapes = [(2, 3), (4,), (3, 2)]
    weights = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
    if rank == 0:
        weights[0].grad = torch.arange(6.0).view(2, 3)
    weights[2].grad = (rank + 1) * torch.arange(6.0).view(2, 3).T  # not contiguous
    with processes.processes():
        processes.sum_gradients(weights)
        found = [None if weight.grad is None else weight.grad.tolist() for weight in weights]
        write_json(found, Path(root, f"{rank}.json"))


def measure_loss(root: str, rank: int, port: int) -> None:
    """The mean loss of tiny records, as two processes measure it together."""
    one_of_several(rank, 2, port)
    with processes.processes():
        write_json([mean_loss(family) for family in DROPOUT], Path(root, f"{rank}.json"))


def mean_loss(family: str) -> float:
    model, framing = tiny(family, double=True)
    model.eval()  # type: ignore[no-untyped-call]
    # Long records, so that there are several batches for the processes to divide.
    tokens = [np.tile(record, 12)[:30] for record in records(300)]
    return heldout.mean_loss(model, tokens, framing, share=0.15, seed=SEED)


def die_while_writing(name: str, call: int) -> None:
    """This process is killed when `snapshots` calls its function `name` for the `call`-th time.

    A file that would be written is left with half of its content.
    """
    original, calls = getattr(snapshots, name), []

    def deadly(*arguments: Any) -> Any:
        calls.append(arguments)
        done = original(*arguments)
        if len(calls) == call:
            if name == "save_file":
                os.truncate(arguments[1], arguments[1].stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(snapshots, name, deadly)
