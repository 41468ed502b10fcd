"""Public texts, of which base models are made: whole passages, encoded, some of them held out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

from distilleak import seeding
from distilleak.errors import DistilleakError
from distilleak.files import read_table

Tokens = NDArray[np.int32]

TEXT = pa.schema({"text": pa.string()})


def read_texts(file: str | Path) -> list[str]:
    """The texts of a passages.parquet.

    Raises:
        DistilleakError: it is missing or damaged.
    """
    found: list[str] = read_table(file, TEXT)["text"].to_pylist()
    return found


def encode_all(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Tokens]:
    """The tokens of whole texts; a text of which the tokenizer keeps nothing is left out."""
    found = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return [np.array(each.ids, np.int32) for each in found if each.ids]


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
