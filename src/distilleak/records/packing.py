"""What a base model learns from: passages that are not held out, packed into rows of tokens."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilleak import seeding
from distilleak.errors import DistilleakError

Tokens = NDArray[np.int32]

OPEN = 64
"""Rows that are filled at a time; more would hardly fill them better."""


def pack(
    passages: Sequence[NDArray[np.integer]],
    separator: int,
    length: int,
    rng: np.random.Generator,
) -> list[Tokens]:
    """Rows of at most `length` tokens that hold all passages, in a random order.

    Between two passages of a row stands the `separator`. A passage is divided only if it is longer
    than a row; each is then put into the first of the rows being filled that it fits into.

    Raises:
        ValueError: a row holds less than one token.
    """
    if length < 1:
        raise ValueError(f"length {length} is below 1")
    pieces = [
        passage[start : start + length].astype(np.int32)
        for passage in passages
        for start in range(0, len(passage), length)
    ]
    between = np.array([separator], np.int32)
    rows: list[list[Tokens]] = []
    filling: list[tuple[int, list[Tokens]]] = []
    for number in rng.permutation(len(pieces)).tolist():
        piece = pieces[number]
        for place, (size, row) in enumerate(filling):
            if size + 1 + len(piece) <= length:
                row += [between, piece]
                filling[place] = (size + 1 + len(piece), row)
                break
        else:
            rows.append([piece])
            filling.append((len(piece), rows[-1]))
            if len(filling) > OPEN:
                filling.remove(max(filling, key=lambda found: found[0]))
    return [np.concatenate(row) for row in rows]


def hold_out(
    passages: Sequence[Tokens], count: int, seed: int, file: str | Path
) -> tuple[list[Tokens], list[Tokens]]:
    """(the passages to learn from, `count` of them that are held out), drawn by `seed`.

    Raises:
        DistilleakError: there are no more passages in `file` than are held out.
    """
    if len(passages) <= count:
        raise DistilleakError(
            f"{file}: only {len(passages)} passages of public text, too few for a base that holds "
            f"out {count} (training.holdout)"
        )
    order = seeding.stream(seed, "hold out").permutation(len(passages))
    kept, held = np.sort(order[count:]), np.sort(order[:count])
    return [passages[row] for row in kept], [passages[row] for row in held]
