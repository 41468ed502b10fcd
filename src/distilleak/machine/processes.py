"""Several processes that train one model: who they are, and sums over all of them.

torchrun starts the processes and gives each its number in RANK, LOCAL_RANK and WORLD_SIZE; when one
fails, it ends all of them. Without torchrun there is one process, and every function here does
nothing.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist

BUCKET = 2**24
"""Gradients that are summed in one message (64 MiB): large enough for the network's full speed."""


@contextmanager
def processes() -> Iterator[None]:
    """Join the other processes of this job inside the block."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(device())
        dist.init_process_group("nccl", device_id=torch.device(device()))
    else:
        dist.init_process_group("gloo")
    # Not after an error: the others may be waiting in a sum, and leaving properly would wait too.
    yield
    dist.destroy_process_group()


def device() -> str:
    """The device of this process: a GPU of its own where there are GPUs."""
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this is the process that writes files and log lines."""
    return rank() == 0


def barrier() -> None:
    """Wait until all processes are here."""
    if world() > 1:
        dist.barrier()


def total(number: torch.Tensor) -> torch.Tensor:
    """The sum of `number` over the processes, in place."""
    if world() > 1:
        dist.all_reduce(number)
    return number


def total_count(count: int, where: torch.device) -> int:
    """The sum of a number of things over the processes; `where` is the device of this one."""
    return count if world() == 1 else int(total(torch.tensor(count, device=where)))


def any_of(flag: bool, where: torch.device) -> bool:
    """Whether `flag` is set in at least one process; the answer is the same in all of them."""
    return total_count(int(flag), where) > 0


def sum_gradients(weights: Iterable[torch.nn.Parameter]) -> None:
    """Replace every gradient by its sum over the processes.

    A process without a gradient for a weight adds zeros; a weight that no process has used keeps
    none, so that the optimiser leaves it alone as it does in a single process.
    """
    if world() == 1:
        return
    trained = [weight for weight in weights if weight.requires_grad]
    used = torch.tensor([weight.grad is not None for weight in trained], dtype=torch.int32)
    used = total(used.to(trained[0].device)).cpu()
    shared = [weight for weight, count in zip(trained, used.tolist(), strict=True) if count]
    for bucket in _buckets([_gradient(weight) for weight in shared]):
        flat = total(torch.cat([gradient.flatten() for gradient in bucket]))
        chunks = torch.split(flat, [gradient.numel() for gradient in bucket])
        for gradient, chunk in zip(bucket, chunks, strict=True):
            gradient.copy_(chunk.view_as(gradient))


def _gradient(weight: torch.nn.Parameter) -> torch.Tensor:
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad


def _buckets(gradients: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Neighbours together, at most BUCKET numbers unless one gradient alone is larger."""
    bucket: list[torch.Tensor] = []
    size = 0
    for gradient in gradients:
        if bucket and size + gradient.numel() > BUCKET:
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.numel()
    if bucket:
        yield bucket
