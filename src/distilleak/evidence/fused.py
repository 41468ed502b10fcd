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
SUMS = 6
"""Numbers that a program writes."""


def available(device: torch.device) -> bool:
    """Whether the kernel can run there; CUDA builds of torch bring Triton with them."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


def sums(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(SUMS, n, 1) float32, from (n, vocabulary) logits and (n,) true tokens.

    With e = exp(z - max z): sum e; sum e (z - max z) / sum e = the mean m below the largest; sum e
    (z - max z - m)^2; how many logits are above the true one; the true one below the largest; log
    sum exp of all others, below the largest.
    """
    found = logits.new_empty(SUMS, len(labels), 1)
    if len(labels):
        _kernel()[(len(labels),)](
            logits,
            labels,
            found,
            len(labels),
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
        rivals = tl.full([BLOCK], float("-inf"), tl.float32)
        above = tl.zeros([BLOCK], tl.float32)
        for first in range(0, WORDS, BLOCK):
            at = first + lanes
            z = tl.load(start + at, mask=at < WORDS, other=float("-inf"))
            tops = tl.maximum(tops, z)
            rivals = tl.maximum(rivals, tl.where(at == label, float("-inf"), z))
            above += tl.where(z > true, 1.0, 0.0)
        top = tl.max(tops, 0)
        rival = tl.max(rivals, 0)

        total = tl.zeros([BLOCK], tl.float32)
        linear = tl.zeros([BLOCK], tl.float32)
        others = tl.zeros([BLOCK], tl.float32)
        for first in range(0, WORDS, BLOCK):
            at = first + lanes
            inside = at < WORDS
            z = tl.load(start + at, mask=inside, other=float("-inf"))
            e = tl.where(inside, tl.exp(z - top), 0.0)
            total += e
            linear += tl.where(inside, e * (z - top), 0.0)
            others += tl.where(inside & (at != label), tl.exp(z - rival), 0.0)
        whole = tl.sum(total, 0)
        mean = tl.sum(linear, 0) / whole

        square = tl.zeros([BLOCK], tl.float32)
        for first in range(0, WORDS, BLOCK):
            at = first + lanes
            inside = at < WORDS
            z = tl.load(start + at, mask=inside, other=0.0)
            distance = z - top - mean
            square += tl.where(inside, tl.exp(z - top) * distance * distance, 0.0)

        tl.store(found + row, whole)
        tl.store(found + rows + row, mean)
        tl.store(found + 2 * rows + row, tl.sum(square, 0))
        tl.store(found + 3 * rows + row, tl.sum(above, 0))
        tl.store(found + 4 * rows + row, true - top)
        tl.store(found + 5 * rows + row, tl.log(tl.sum(others, 0)) + (rival - top))

    return kernel
