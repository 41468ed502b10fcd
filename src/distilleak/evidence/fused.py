"""The sums behind the statistics of a token, by one kernel on a GPU.

Swept over by torch's functions, a row of logits is read and written some fifteen times, and on a
GPU that takes longer than a small model takes to make it. Here a program reads its row three times
and writes six numbers; a row of 50,257 words stays in the GPU's cache between the readings.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import torch

BLOCK = 4096
"""Logits that a program reads at a time."""
SUMS = 5
"""Numbers that a program writes."""
ABSENT = -1e18
"""A logit that adds nothing to a sum of exponentials, not even times its square."""


def available(device: torch.device) -> bool:
    """Whether the kernel can run there; CUDA builds of torch bring Triton with them."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


def sums(logits: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    """(SUMS, n, 1) float32, from (n, vocabulary) logits and (n, 1) true tokens.

    Below the largest logit of all tokens but the true one: the true logit; how many logits are
    above the true one; of all others the log sum exp, and the mean and the variance of the logits
    in their distribution.
    """
    found = logits.new_empty(SUMS, len(column), 1)
    if len(column):
        _kernel()[(len(column),)](
            logits,
            column,
            found,
            len(column),
            logits.stride(0),
            WORDS=logits.shape[-1],
            BLOCK=BLOCK,
        )
    return found


@functools.cache
def _kernel() -> Any:
    """Compiled where it is first needed: triton takes a second to import."""
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def kernel(logits, labels, found, rows, stride, WORDS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def] # noqa: N803
        row = tl.program_id(0).to(tl.int64)
        start = logits + row * stride
        label = tl.load(labels + row)
        true = tl.load(start + label)
        lanes = tl.arange(0, BLOCK)

        tops = tl.full([BLOCK], float("-inf"), tl.float32)
        above = tl.zeros([BLOCK], tl.float32)
        for first in range(0, WORDS, BLOCK):
            at = first + lanes
            other = (at < WORDS) & (at != label)
            z = tl.load(start + at, mask=other, other=float("-inf"))
            tops = tl.maximum(tops, z)
            above += tl.where(z > true, 1.0, 0.0)
        top = tl.max(tops, 0)

        totals = tl.zeros([BLOCK], tl.float32)
        linear = tl.zeros([BLOCK], tl.float32)
        for first in range(0, WORDS, BLOCK):
            at = first + lanes
            other = (at < WORDS) & (at != label)
            z = tl.load(start + at, mask=other, other=0.0) - top
            e = tl.where(other, tl.exp(z), 0.0)
            totals += e
            linear += e * z
        total = tl.sum(totals, 0)
        mean = tl.sum(linear, 0) / total

        square = tl.zeros([BLOCK], tl.float32)
        for first in range(0, WORDS, BLOCK):
            at = first + lanes
            other = (at < WORDS) & (at != label)
            z = tl.load(start + at, mask=other, other=0.0) - top
            square += tl.where(other, tl.exp(z) * (z - mean) * (z - mean), 0.0)

        tl.store(found + row, true - top)
        tl.store(found + rows + row, tl.sum(above, 0))
        tl.store(found + 2 * rows + row, tl.log(total))
        tl.store(found + 3 * rows + row, mean)
        tl.store(found + 4 * rows + row, tl.sum(square, 0) / total)

    return kernel
