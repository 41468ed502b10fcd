"""Forward passes that are divided when they do not fit into the memory of a GPU."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

log = logging.getLogger(__name__)

T = TypeVar("T")


def attempt(run: Callable[[], T]) -> T | None:
    """What `run` returns; None where it runs out of memory.

    The exception ends here: as long as it lives, so do the tensors of all frames that it passed.
    """
    try:
        return run()
    except torch.OutOfMemoryError:
        return None


def halve(size: int, unit: str) -> int:
    """Half of `size`, the most of a `unit` in a forward pass from now on; frees cached memory."""
    torch.cuda.empty_cache()
    log.info("out of memory: %d %s a pass from now on", size // 2, unit)
    return size // 2
