"""Every attack again: slow, in plain Python floats, one record at a time, from its formula."""

import math
import zlib
from collections.abc import Callable
from typing import Any

from synthetic_evidence import rows

from distilleak.evidence import Evidence, View

FLOAT32_EPS = 2.0**-23


def losses(view: View) -> list[float]:
    return [-math.fsum(row) / len(row) for row in rows(view.logp)]


def mean_of_lowest(values: list[float], k: float) -> float:
    kept = sorted(values)[: max(1, math.floor(k * len(values)))]
    return math.fsum(kept) / len(kept)


def loss(evidence: Evidence, parameters: Any) -> list[float]:
    return [-value for value in losses(evidence.views["plain"])]


def zlib_attack(evidence: Evidence, parameters: Any) -> list[float]:
    scores = []
    for text, row in zip(evidence.texts, rows(evidence.views["plain"].logp), strict=True):
        numerator = math.fsum(row)
        if parameters.numerator == "mean":
            numerator /= len(row)
        scores.append(numerator / len(zlib.compress(bytes(text, "utf-8"))))
    return scores


def ratio(evidence: Evidence, view: str) -> list[float]:
    # A loss that float32 cannot tell from 0 counts as the resolution of float32.
    changed, plain = losses(evidence.views[view]), losses(evidence.views["plain"])
    return [
        max(above, FLOAT32_EPS) / max(below, FLOAT32_EPS)
        for above, below in zip(changed, plain, strict=True)
    ]


def lowercase(evidence: Evidence, parameters: Any) -> list[float]:
    return ratio(evidence, "lower")


def recall(evidence: Evidence, parameters: Any) -> list[float]:
    return ratio(evidence, "prefix_nonmember")


def min_k(evidence: Evidence, parameters: Any) -> list[float]:
    return [mean_of_lowest(row, parameters.k) for row in rows(evidence.views["plain"].logp)]


def min_k_pp(evidence: Evidence, parameters: Any) -> list[float]:
    view = evidence.views["plain"]
    scores = []
    for logp, mean, std in zip(
        rows(view.logp), rows(view.mean_logp), rows(view.std_logp), strict=True
    ):
        z = [
            (value - centre) / (spread if spread > FLOAT32_EPS else FLOAT32_EPS)
            for value, centre, spread in zip(logp, mean, std, strict=True)
        ]
        scores.append(mean_of_lowest(z, parameters.k))
    return scores


def reference(evidence: Evidence, parameters: Any) -> list[float]:
    of_target = losses(evidence.views["plain"])
    of_references = [losses(view) for view in evidence.references]
    return [
        math.fsum(by_model) / len(by_model) - target
        for target, by_model in zip(of_target, zip(*of_references, strict=True), strict=True)
    ]


SLOW: dict[str, Callable[[Evidence, Any], list[float]]] = {
    "loss": loss,
    "zlib": zlib_attack,
    "lowercase": lowercase,
    "min_k": min_k,
    "min_k_pp": min_k_pp,
    "reference": reference,
    "recall": recall,
}
