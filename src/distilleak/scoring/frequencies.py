"""How often tokens occur in the auxiliary pool."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilleak.records import window
from distilleak.records.table import iterate_records


def count_tokens(records: str | Path, tokenizer: str | Path) -> NDArray[np.int64]:
    """How often each token occurs in the auxiliary pool, (vocabulary,).

    Raises:
        DistilleakError: a file is missing or damaged.
    """
    # Few attacks need it, and importing it takes longer than scoring them.
    from distilleak.records import tokenizer as tokenization

    vocabulary = tokenization.rows(tokenization.load(tokenizer))
    counts = np.zeros(vocabulary, np.int64)
    for held in iterate_records(records, ["auxiliary"], window.SIZE):
        counts += np.bincount(np.concatenate(held.tokens), minlength=vocabulary)
    return counts
