"""What a verdict and its numbers are called, for whoever reads the page, the card or the figure."""

from collections.abc import Callable
from typing import Any, NamedTuple

from distilleak.audit.verdict import Decision, Estimate, Model, Verdict
from distilleak.scoring.threats import THREATS
from distilleak.settings.policy import PolicySettings
from distilleak.tables.printing import NONE
from distilleak.tables.wording import listed

SIGNS: dict[Decision, str] = {"pass": "✓", "fail": "✗", "investigate": "?"}
WORDS: dict[Decision, str] = {"pass": "Pass", "fail": "Fail", "investigate": "Investigate"}
MEANINGS: dict[Decision, str] = {
    "pass": "Every candidate keeps to the limits of the policy.",
    "fail": "At least one candidate exceeds a limit of the policy.",
    "investigate": "The evidence does not decide whether every candidate keeps to the policy.",
}
_OUTCOMES: dict[Decision, tuple[str, str]] = {
    "pass": ("passes", "pass"),
    "fail": ("fails", "fail"),
    "investigate": ("is undecided", "are undecided"),
}


class Written(NamedTuple):
    """A number in words; `ends` are those of its interval, empty where it has none."""

    value: str
    ends: str = ""

    def __str__(self) -> str:
        return f"{self.value} ({self.ends})" if self.ends else self.value


def number(estimate: Estimate | None) -> Written:
    """A number; a dash where it was not measured."""
    return _written(estimate, "{:.3f}".format)


def percent(estimate: Estimate | None) -> Written:
    """A rate in percent; a dash where it was not measured."""
    return _written(estimate, lambda rate: f"{100 * rate:.1f} %")


def per_thousand(estimate: Estimate | None) -> Written:
    """A rate as a count of 1,000 records; a dash where it was not measured."""
    return _written(estimate, lambda rate: f"{1000 * rate:,.0f}")


def difference(estimate: Estimate | None) -> Written:
    """A difference, with signs; a dash where there is none or it was not measured."""
    return _written(estimate, "{:+.3f}".format)


def epsilon(model: Model) -> str:
    """The least epsilon that the attacks leave possible; a dash where it was not measured."""
    low = None if model.epsilon is None else model.epsilon.low
    return NONE if low is None else f"{low:.2f}"


def finds(model: Model) -> str:
    """What an attacker finds, in the words of somebody who counts people, not rates."""
    found, accused = per_thousand(model.tpr), per_thousand(model.fpr)
    if NONE in (found.value, accused.value):
        return "How many members an attacker finds could not be measured."
    return (
        f"Of 1,000 members an attacker finds {found} and accuses {accused.value} of 1,000 others."
    )


def attacker(model: Model) -> str:
    """The attack that was picked most often, with its threat model: "loss (query)"."""
    return NONE if model.attack is None else f"{model.attack} ({model.threat or 'unknown'})"


def threats(verdict: Verdict) -> dict[str, tuple[str, str]]:
    """Threat model -> what its attacker holds and knows; those that occur, in their usual order."""
    used = {attack.threat for model in verdict.models for attack in model.attacks}
    return {name: (each.holds, each.knows) for name, each in THREATS.items() if name in used}


def outcomes(verdict: Verdict) -> str:
    """Which candidates pass, fail and are undecided: "v1 passes, v2 and v3 fail"."""
    said = []
    for decision, (one, several) in _OUTCOMES.items():
        names = [model.name for model in verdict.students() if model.verdict == decision]
        if names:
            said.append(f"{listed(names)} {one if len(names) == 1 else several}")
    return ", ".join(said)


def level(verdict: Verdict) -> str:
    """The confidence of all intervals: "95 %"."""
    return f"{100 * verdict.policy.level:g} %"


def gate(verdict: Verdict) -> str:
    """What the blind gate found, and what that means for the attacks."""
    blind = verdict.blind
    by = f" ({blind.classifier})" if blind.classifier else ""
    best = f"the best classifier that never sees one{by}"
    auc = f"an AUC of {number(blind.estimate())}, where chance is 0.5"
    if blind.passed:
        return (
            f"The gate is open. Without a model, {best} has {auc}; what an attack finds beyond "
            "this comes from the model."
        )
    return (
        f"The gate is closed: members and non-members can be distinguished without any model, and "
        f"{best} has {auc}. An attack whose AUC lies near this or below it shows nothing about "
        "membership."
    )


def policy(verdict: Verdict) -> list[tuple[str, str, str]]:
    """The policy as (key, value, meaning), limits first; a key that is unknown has no meaning."""
    given = verdict.policy.model_dump()
    known = {name: field.description or "" for name, field in PolicySettings.model_fields.items()}
    names = [name for name in known if name in given] + [
        name for name in given if name not in known
    ]
    return [(name, _plain(given[name]), " ".join(known.get(name, "").split())) for name in names]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _written(estimate: Estimate | None, write: Callable[[float], str]) -> Written:
    if estimate is None or estimate.value is None:
        return Written(NONE)
    value, low, high = (
        "" if part is None else write(part).replace("-", "−")
        for part in (estimate.value, estimate.low, estimate.high)
    )
    return Written(value, f"{low} to {high}" if low and high else "")
