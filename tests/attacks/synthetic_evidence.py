"""Evidence made from logits, so that its columns agree with each other as those of a model do."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distilleak.evidence import FLOAT_COLUMNS, INTEGER_COLUMNS, SCHEMA, Evidence, View
from distilleak.ragged import Ragged

Array = NDArray[np.float64]


def softmax_view(ids: Sequence[str], lengths: Sequence[int], logits: Array, true: Array) -> View:
    """The float32 evidence of logits (tokens, vocabulary) on the `true` tokens (tokens,)."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    true = true.astype(np.int64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    p = np.exp(logp)
    mean = (p * logp).sum(axis=1)
    at = np.arange(len(true))
    others = p.copy()
    others[at, true] = 0.0
    floats = {
        "logp": logp[at, true],
        "mean_logp": mean,
        "std_logp": np.sqrt((p * (logp - mean[:, None]) ** 2).sum(axis=1)),
        "top_logp": logp.max(axis=1),
        "log1m_p": np.log(np.maximum(others.sum(axis=1), 1e-300)),
    }
    integers = {"token_id": true, "rank": (logp > logp[at, true][:, None]).sum(axis=1)}
    return View(
        record_id=list(ids),
        **{name: Ragged(floats[name].astype(np.float32), offsets) for name in FLOAT_COLUMNS},
        **{name: Ragged(integers[name].astype(np.int32), offsets) for name in INTEGER_COLUMNS},
    )


def random_view(ids: Sequence[str], generator: np.random.Generator, longest: int = 12) -> View:
    """A view with what is hard: ties, one-token records, p = 1 and p close to 0."""
    lengths = generator.integers(1, longest + 1, len(ids))
    levels = generator.choice([-300.0, -40.0, -2.0, -1.0, 0.0, 0.0, 1.0, 40.0], (lengths.sum(), 5))
    return softmax_view(ids, list(lengths), levels, generator.integers(0, 5, lengths.sum()))


def random_evidence(records: int, seed: int) -> Evidence:
    """Evidence with every view and two references, and texts of several scripts."""
    generator = np.random.default_rng(seed)
    ids = [f"record-{number}" for number in range(records)]
    letters = np.array(list("abc ABC éß漢😀"))
    texts = ["".join(generator.choice(letters, generator.integers(1, 60))) for _ in ids]
    views = {name: random_view(ids, generator) for name in ("plain", "lower", "prefix_nonmember")}
    return Evidence(ids, texts, views, [random_view(ids, generator) for _ in range(2)])


def certain_view(ids: Sequence[str], length: int = 3) -> View:
    """A view in which every token has p = 1."""
    logits = np.tile([0.0, -1000.0], (len(ids) * length, 1))
    return softmax_view(ids, [length] * len(ids), logits, np.zeros(len(logits)))


def rows(column: Ragged) -> list[list[float]]:
    """A ragged column as plain Python lists."""
    return [[float(value) for value in column.values[a:b]] for a, b in pairwise(column.offsets)]


def table(view: View) -> pa.Table:
    """A view as the Arrow table of an evidence file."""
    names = (*FLOAT_COLUMNS, *INTEGER_COLUMNS)
    columns = {name: rows(getattr(view, name)) for name in FLOAT_COLUMNS}
    columns |= {
        name: [[int(value) for value in row] for row in rows(getattr(view, name))]
        for name in INTEGER_COLUMNS
    }
    assert set(columns) == set(names)
    return pa.table({"record_id": list(view.record_id), **columns}, schema=SCHEMA)
