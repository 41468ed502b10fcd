"""What the blind gate found: the bar of every attack, and why an audit cannot decide without it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy import special

from distilleak.files import NUMBER, check_object
from distilleak.guards import sealed_json
from distilleak.metrics.limits import Estimate, Tails

CHANCE = 0.5
_REACH = float(special.ndtri(0.975))
"""Standard errors from the AUC of a classifier to the ends of its interval."""
_POOLS = {"member": "members", "nonmember": "non-members"}
_SIDE = {"words": list, "length": NUMBER, "date": (str, type(None)), "own_sources": NUMBER}


@dataclass(frozen=True)
class Bar:
    """The best classifier that sees no model.

    Attributes:
        passed: whether members and non-members cannot be told apart without a model.
        auc: of the best classifier, with the ends of its 95 % interval.
        low: the lower end.
        high: the upper end.
        classifier: its name.
        explanation: where the gate is closed, by what members and non-members differ.
    """

    passed: bool
    auc: float
    low: float
    high: float
    classifier: str
    explanation: str | None

    def estimate(self, tails: Tails) -> Estimate:
        """Its AUC as a bar, which is chance at least, for a difference with these tails.

        The low end of a difference needs the high end of the bar, and the other way round.
        """
        value = max(CHANCE, self.auc)
        below, above = (float(-special.ndtri(tail)) / _REACH for tail in (tails.high, tails.low))
        return Estimate(
            value, value - below * (self.auc - self.low), value + above * (self.high - self.auc)
        )

    def as_json(self) -> dict[str, Any]:
        """As verdict.json has it."""
        return asdict(self)


def highest(bars: Iterable[Bar]) -> Bar:
    """Of bars on records that are cut in several ways: a closed gate, else the highest AUC."""
    return max(bars, key=lambda bar: (not bar.passed, bar.auc))


def read_bar(path: str | Path) -> Bar:
    """Read the verdict of the blind gate.

    Raises:
        DistilleakError: the file is missing or damaged.
    """
    kinds = {"passed": bool, "auc": NUMBER, "classifier": str, "p_value": NUMBER}
    found = check_object(
        sealed_json.read(path), {**kinds, "classifiers": dict, "separates": dict}, path
    )
    name = found["classifier"]
    ends = {"auc": NUMBER, "low": NUMBER, "high": NUMBER}
    classifiers = check_object(found["classifiers"], {name: dict}, path)
    best = check_object(classifiers[name], ends, path)
    explanation = None
    if not found["passed"]:
        sides = check_object(found["separates"], dict.fromkeys(_POOLS, dict), path)
        explanation = (
            f"Members and non-members can be told apart without any model, by {_words(name)}: "
            f"shown one of each, a classifier is right in {100 * best['auc']:.0f} of 100 cases "
            f"({100 * best['low']:.0f} to {100 * best['high']:.0f}; p = {found['p_value']:.2g}). "
            + "; ".join(
                f"{pool}: {_described(check_object(sides[side], _SIDE, path))}"
                for side, pool in _POOLS.items()
            )
            + "."
        )
    return Bar(
        passed=found["passed"],
        auc=float(best["auc"]),
        low=float(best["low"]),
        high=float(best["high"]),
        classifier=name,
        explanation=explanation,
    )


def _words(classifier: str) -> str:
    names = {
        "bag_of_words": "their words",
        "length": "their length",
        "compressibility": "how well they compress",
        "source": "their source",
        "date": "their date",
        "combined": "words, length, source and date together",
    }
    return names.get(classifier, classifier)


def _described(side: dict[str, Any]) -> str:
    words = f", typical words {' '.join(side['words'])}" if side["words"] else ""
    date = f", median date {side['date']}" if side["date"] else ""
    return (
        f"median length {side['length']:g} characters{date}, {side['own_sources']:.0%} from "
        f"sources that the others do not have{words}"
    )
