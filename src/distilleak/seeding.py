"""Independent random streams, each a pure function of a seed and a purpose."""

import zlib

import numpy as np


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator for one purpose: equal arguments give equal draws, others independent draws."""
    return np.random.default_rng([seed, *map(_number, purpose)])


def number(seed: int, *purpose: str | int) -> int:
    """An integer below 2**31 for libraries that need their own seed."""
    return int(stream(seed, *purpose).integers(2**31))


def _number(part: str | int) -> int:
    return part if isinstance(part, int) else zlib.crc32(part.encode())
