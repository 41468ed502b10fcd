"""Small evidence made by hand: records given by their probabilities or log-probabilities."""

import math
from typing import Any

import numpy as np
from synthetic_evidence import softmax_view

from distilleak.evidence.table import Evidence, View


def plain(view: View, texts: list[str] | None = None, **more: Any) -> Evidence:
    """Evidence of a target with a plain view, and what `more` there is."""
    texts = texts or ["text"] * len(view.record_id)
    return Evidence(view.record_id, texts, {"plain": view}, **{"references": [], **more})


def from_probabilities(*records: list[tuple[list[float], int]]) -> View:
    """One record per argument; per token the distribution and the true token."""
    tokens = [token for record in records for token in record]
    logits = np.log(np.array([probabilities for probabilities, _ in tokens]))
    ids = [f"r{number}" for number in range(len(records))]
    true = np.array([token for _, token in tokens])
    return softmax_view(ids, [len(record) for record in records], logits, true)


def of_logp(*records: list[float]) -> View:
    """Records whose true tokens have these log-probabilities, over a vocabulary of two."""
    return from_probabilities(
        *([([math.exp(v), -math.expm1(v)], 0) for v in record] for record in records)
    )
