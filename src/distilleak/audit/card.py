"""What an audit found, as Markdown for the model card of each candidate.

A card is public. It has the numbers and names no candidate but its own, and no reasons in free
text: those of a closed gate quote words of the records.
"""

import re
from collections.abc import Iterable, Iterator

from distilleak.audit import wording
from distilleak.audit.verdict import Model, Verdict

_SPECIAL = re.compile(r"[\\`*\[\]<>#|~&$]|(?<!\w)_|_(?!\w)")


def card(verdict: Verdict) -> str:
    """A complete section for each candidate, in the order of the file."""
    sections = (_section(verdict, model) for model in verdict.students())
    return "\n".join(line for section in sections for line in section)


def escaped(text: str) -> str:
    """A text that stands in Markdown as it is, on one line."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def _section(verdict: Verdict, model: Model) -> Iterator[str]:
    blind = verdict.blind
    yield f"## Membership inference: {escaped(model.name)}"
    yield ""
    yield f"**{_outcome(model)}** {wording.finds(model)}"
    if not blind.passed:
        yield ""
        yield (
            "Members and other records differ by themselves, so these numbers may show how the two "
            "differ, and not what the model remembers."
        )
    yield ""
    yield f"| measure | value ({wording.level(verdict)} interval) |"
    yield "|---|---|"
    rows = {
        "strongest attack, picked on other records": wording.attacker(model),
        "TPR at 1 % FPR": wording.percent(model.tpr),
        "FPR that was measured": wording.percent(model.fpr),
        "AUC (chance: 0.5)": wording.number(model.auc),
        "AUC of the best classifier without a model": wording.number(blind.estimate()),
        "AUC, minus that of the teacher": wording.difference(model.versus.teacher),
        "AUC, minus that of the base": wording.difference(model.versus.base),
        _epsilon(model): wording.epsilon(model),
        "records": (
            f"{verdict.records.members:,} members, {verdict.records.nonmembers:,} non-members"
        ),
    }
    for name, value in rows.items():
        yield f"| {name} | {escaped(str(value))} |"
    yield ""
    policy = _listed(f"{key} {value}" for key, value, _ in wording.policy(verdict))
    yield f"Policy: {policy}."
    yield ""
    yield f"Attacks that were made: {_listed(row.attack for row in model.attacks)}."
    yield ""
    yield (
        f"Not tested: {_listed(verdict.left_out)}; attacks that train models of their own; whether "
        "the model writes out its training data; records other than those above."
    )
    yield ""
    yield f"Versions: {_listed(f'{name} {each}' for name, each in verdict.versions.items())}."
    yield ""


def _outcome(model: Model) -> str:
    assert model.verdict is not None
    return f"{wording.SIGNS[model.verdict]} {wording.WORDS[model.verdict]}."


def _epsilon(model: Model) -> str:
    at = "" if model.epsilon is None else f" at delta {model.epsilon.delta:g}"
    return f"lower bound on epsilon{at}"


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(escaped(part) for part in parts) or "none"
