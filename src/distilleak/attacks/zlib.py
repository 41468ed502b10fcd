"""Zlib attack (Carlini et al. 2021, arXiv 2012.07805): log-likelihood relative to compressibility.

A text that is likely only because it is repetitive also compresses well.
"""

import zlib
from typing import Literal

import numpy as np

from distilleak.attacks.base import Needs, ScoreArray
from distilleak.evidence.table import Evidence
from distilleak.settings.base import Settings

NEEDS = Needs()
THREAT = "query"


class Parameters(Settings):
    """Which log-likelihood is divided by the compressed size."""

    numerator: Literal["sum", "mean"] = "sum"
    """The `sum` of log p over the tokens, or their `mean`, as in the papers' code."""


def score(evidence: Evidence, parameters: Parameters) -> ScoreArray:
    """(sum or mean of log p) / compressed bytes, in nats per byte; (records,).

    The bytes are those of exactly the scored text (UTF-8), compressed at zlib's default level.
    """
    logp = evidence.views["plain"].logp
    numerator = logp.sum() if parameters.numerator == "sum" else logp.mean()
    compressed = (len(zlib.compress(text.encode("utf-8"))) for text in evidence.texts)
    return numerator / np.fromiter(compressed, np.float64, len(evidence.texts))
