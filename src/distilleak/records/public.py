"""Public texts, of which base models and count models are made: whole passages, encoded."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

Tokens = NDArray[np.int32]


def encode_all(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Tokens]:
    """The tokens of whole texts; a text of which the tokenizer keeps nothing is left out."""
    found = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return [np.array(each.ids, np.int32) for each in found if each.ids]
