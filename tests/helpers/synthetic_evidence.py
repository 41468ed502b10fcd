"""Evidence made from logits, so that its columns agree with each other as those of a model do."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distilleak.evidence.table import (
    COPY_SCHEMA,
    FLOAT_COLUMNS,
    INTEGER_COLUMNS,
    SCHEMA,
    Evidence,
    Shadow,
    View,
)
from distilleak.ragged import Ragged

Array = NDArray[np.float64]
VIEWS = ("plain", "lower", "prefix_nonmember", "prefix_member")


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


def other_model(view: View, generator: np.random.Generator) -> View:
    """Another model on the same tokens; no two models agree exactly."""
    tokens = view.token_id.floats
    levels = generator.choice([-300.0, -40.0, -2.0, -1.0, 0.0, 1.0, 40.0], (len(tokens), 5))
    noise = generator.normal(0.0, 0.5, levels.shape)
    return softmax_view(view.record_id, view.token_id.lengths.tolist(), levels + noise, tokens)


def random_members(records: int, models: int, generator: np.random.Generator) -> Array:
    """(models, records) of 0 and 1: half of the models trained on each record."""
    half = np.repeat([[0.0], [1.0]], models // 2, axis=0)
    return generator.permuted(np.tile(half, records), axis=0)


def random_evidence(records: int, seed: int) -> Evidence:
    """Evidence of every kind that an attack may need, and texts of several scripts."""
    generator = np.random.default_rng(seed)
    ids = [f"record-{number}" for number in range(records)]
    letters = np.array(list("abc ABC éß漢😀"))
    texts = ["".join(generator.choice(letters, generator.integers(1, 60))) for _ in ids]
    views = {name: random_view(ids, generator) for name in VIEWS}
    plain = views["plain"]
    population = random_view([f"population-{number}" for number in range(17)], generator)
    return Evidence(
        record_id=ids,
        texts=texts,
        views=views,
        references=[other_model(plain, generator) for _ in range(3)],
        neighbours=[random_view(ids, generator) for _ in range(3)],
        population=population,
        reference_population=[other_model(population, generator) for _ in range(3)],
        shadows=[
            Shadow(other_model(plain, generator), member > 0, other_model(population, generator))
            for member in random_members(records, 6, generator)
        ],
        base=other_model(plain, generator),
        teacher=other_model(plain, generator),
        teacher_population=other_model(population, generator),
        unigram=generator.integers(0, 50, 5) * generator.integers(0, 2, 5),
    )


def certain_view(ids: Sequence[str], length: int = 3) -> View:
    """A view in which every token has p = 1."""
    logits = np.tile([0.0, -1000.0], (len(ids) * length, 1))
    return softmax_view(ids, [length] * len(ids), logits, np.zeros(len(logits)))


def certain_evidence(ids: Sequence[str]) -> Evidence:
    """Evidence in which every model gives every token p = 1."""
    certain = certain_view(ids)
    members = np.arange(4)[:, None] % 2 == np.arange(len(ids)) % 2
    return Evidence(
        record_id=ids,
        texts=["x"] * len(ids),
        views=dict.fromkeys(VIEWS, certain),
        references=[certain] * 2,
        neighbours=[certain] * 2,
        population=certain,
        reference_population=[certain] * 2,
        shadows=[Shadow(certain, member, certain) for member in members],
        base=certain,
        teacher=certain,
        teacher_population=certain,
        unigram=np.array([7, 1]),
    )


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


def copies_table(views: Sequence[View]) -> pa.Table:
    """Several copies of each record as the Arrow table of an evidence file."""
    return pa.concat_tables(
        [
            table(view).add_column(
                1, COPY_SCHEMA.field("copy"), pa.array([copy] * len(view.record_id), pa.int32())
            )
            for copy, view in enumerate(views)
        ]
    )
