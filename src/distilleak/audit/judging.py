"""The verdict on every student: pass, fail or investigate, with reasons and what to do next.

A closed blind gate and too few records come first: then nothing passes and nothing fails, whatever
the numbers. Every student is judged by itself. With S students that all lie exactly on a limit, one
of them fails by error with S times the probability for one.
"""

from dataclasses import asdict
from typing import Any

from distilleak.audit import criteria
from distilleak.audit.advice import what_next
from distilleak.audit.bar import Bar
from distilleak.audit.criteria import Basis, Criterion
from distilleak.audit.panel import Audited, Panel, common
from distilleak.audit.strength import Strength, alone
from distilleak.metrics import limits
from distilleak.metrics.limits import Estimate, Tails, tails
from distilleak.metrics.picked_epsilon import Bound
from distilleak.settings.policy import PolicySettings

SCHEMA = 1
"""Version of what verdict.json holds."""
_DIGITS = 6
_LIMITS = 3  # TPR, AUC, epsilon
_OTHERS = {"teacher": "the teacher", "base": "the base"}
"""Role -> the model as sentences name it."""


def judge(panel: Panel, bar: Bar, policy: PolicySettings) -> dict[str, Any]:
    """The verdict, as verdict.json has it, without what the stage adds.

    Raises:
        DistilleakError: there are fewer members or non-members than folds.
    """
    models = [_model(panel, model, bar, policy) for model in panel.models]
    students = [found for found in models if found["role"] == "student"]
    verdicts = [student["verdict"] for student in students]
    overall = next((each for each in ("fail", "investigate") if each in verdicts), "pass")
    members, nonmembers = panel.records()
    blind = [] if bar.explanation is None else [bar.explanation]
    return {
        "schema": SCHEMA,
        "verdict": overall,
        "reasons": blind + [_summary(student) for student in students],
        "next": what_next(students, open_gate=bar.passed),
        "records": {"members": members, "nonmembers": nonmembers},
        "blind": bar.as_json(),
        "policy": policy.model_dump(mode="json"),
        "models": models,
    }


def _model(panel: Panel, model: Audited, bar: Bar, policy: PolicySettings) -> dict[str, Any]:
    """What is said of one model; only students have a verdict."""
    strength = panel.strength(model)
    student = model.role == "student"
    plain = tails(policy.level, 1)
    rules = _rules(panel, model, policy) if student else {}
    # Only what can fail the student counts.
    judged = sum(skipped is None for skipped in rules.values())
    ends = tails(policy.level, _LIMITS + judged) if student else plain
    auc, tpr, fpr = strength.auc(ends), strength.tpr(ends), strength.fpr(plain)
    bound = strength.epsilon(panel.settings, panel.seed, ends)
    versus = _versus(panel, model, auc, bar, ends, policy)
    verdict: str | None = None
    reasons: list[str] = []
    more: int | None = None
    if student:
        found = _limits(strength, (auc, tpr, fpr), bound, panel.settings.delta, policy)
        found += _applied(panel, model, rules, versus, bar, policy)
        notes = [skipped for skipped in rules.values() if skipped] + _cut(model)
        verdict, reasons, more = _verdict(strength, found, notes, bar, policy)
    return {
        "name": model.name,
        "role": model.role,
        "verdict": verdict,
        "reasons": reasons,
        "records": {
            "members": strength.members,
            "nonmembers": strength.nonmembers,
            "cut": model.cut,
        },
        "attack": strength.attack,
        "turned": strength.turned,
        "threat": panel.threats[strength.attack],
        "auc": _json(auc),
        "tpr": {**_json(tpr), "attack": strength.caller, "turned": strength.caller_turned},
        "fpr": _json(fpr),
        "epsilon": {
            "low": round(bound.epsilon, _DIGITS),
            "delta": panel.settings.delta,
            "attack": strength.names[bound.attack],
        },
        "attacks": [
            {
                "attack": each.attack,
                "threat": panel.threats[each.attack],
                "auc": _json(each.auc),
                "tpr": _json(each.tpr),
            }
            for each in alone(
                model.scores, list(model.scores.attacks), panel.settings, panel.seed, plain
            )
        ],
        "versus": {name: found and _json(found) for name, found in versus.items()},
        "more_records": more,
    }


def _verdict(
    strength: Strength,
    found: list[Criterion],
    notes: list[str],
    bar: Bar,
    policy: PolicySettings,
) -> tuple[str, list[str], int | None]:
    """The verdict on a student, its reasons, what decides first, and how many more records."""
    order = sorted(found, key=lambda each: (each.side != "above", not each.open))
    sentences = [each.sentence for each in order] + notes
    if not bar.passed:
        closed = (
            "Nothing can be said about this student: members and non-members can be told apart "
            "without it, so that the numbers below show that difference, too."
        )
        return "investigate", [closed, *sentences], None
    lacking = policy.min_records - min(strength.members, strength.nonmembers)
    if lacking > 0:
        few = (
            f"{strength.members:,} members and {strength.nonmembers:,} non-members are too few "
            f"to decide; the policy asks for {policy.min_records:,} of each."
        )
        return "investigate", [few, *sentences], max([lacking, *(each.more or 0 for each in found)])
    if any(each.side == "above" for each in found):
        return "fail", sentences, None
    undecided = [each.more for each in found if each.open]
    if not undecided:
        return "pass", sentences, None
    known = [more for more in undecided if more is not None]
    return "investigate", sentences, max(known) if len(known) == len(undecided) else None


def _cut(model: Audited) -> list[str]:
    """What the verdict says nothing about."""
    if not model.cut:
        return []
    return [
        f"Of {model.cut:,} of {len(model.scores.record_id):,} texts only the beginning was judged: "
        "they are longer than the context (encoding.context). Nothing is known about the rest."
    ]


def _limits(
    strength: Strength,
    estimates: tuple[Estimate, Estimate, Estimate],
    bound: Bound,
    delta: float,
    policy: PolicySettings,
) -> list[Criterion]:
    auc, tpr, fpr = estimates
    caller, picked = (
        Basis(f"{name}{', its sign turned' * turned}", strength.members, strength.nonmembers)
        for name, turned in (
            (strength.caller, strength.caller_turned),
            (strength.attack, strength.turned),
        )
    )
    return [
        criteria.of_tpr(tpr, fpr, policy.max_tpr, caller),
        criteria.of_auc(auc, policy.max_auc, picked),
        criteria.of_epsilon(bound, policy.max_epsilon, delta, strength.names[bound.attack]),
    ]


def _rules(panel: Panel, student: Audited, policy: PolicySettings) -> dict[str, str | None]:
    """The rules of the policy: with whom each compares, and why it is skipped, if it is."""
    wanted = {
        "teacher": policy.no_leakier_than_teacher,
        "base": policy.no_leakier_than_base,
        "blind": policy.no_better_than_blind,
    }
    return {
        name: None if name == "blind" else _skipped(panel, student, name, policy)
        for name, on in wanted.items()
        if on
    }


def _skipped(panel: Panel, student: Audited, role: str, policy: PolicySettings) -> str | None:
    """Why the student is not compared with the model of this role; None if it is."""
    rule = f"The rule that a student is no leakier than {_OTHERS[role]} was skipped"
    other = panel.the(role)
    if other is None:
        return f"{rule}: the audit has no {role}."
    both = common(student.scores, other.scores)
    members = int(both.teacher_member.sum())
    nonmembers = len(both.record_id) - members
    if min(members, nonmembers) < max(policy.min_records, panel.settings.folds):
        return f"{rule}: the two share {members:,} members and {nonmembers:,} non-members only."
    return None


def _versus(
    panel: Panel, model: Audited, auc: Estimate, bar: Bar, ends: Tails, policy: PolicySettings
) -> dict[str, Estimate | None]:
    """Differences in AUC, of a student to all others and of others to the blind classifier."""
    found: dict[str, Estimate | None] = dict.fromkeys(_OTHERS)
    for role in _OTHERS if model.role == "student" else ():
        other = panel.the(role)
        if other is not None and _skipped(panel, model, role, policy) is None:
            found[role] = panel.difference(model, other, ends)
    return {**found, "blind": limits.unpaired(auc, bar.estimate(ends))}


def _applied(
    panel: Panel,
    student: Audited,
    rules: dict[str, str | None],
    versus: dict[str, Estimate | None],
    bar: Bar,
    policy: PolicySettings,
) -> list[Criterion]:
    """The rules that are not skipped."""
    found = []
    for name, skipped in rules.items():
        difference = versus[name]
        if skipped is not None or difference is None:
            continue
        other = panel.the(name)
        shared = student.scores if other is None else common(student.scores, other.scores)
        members = int(shared.teacher_member.sum())
        against = _OTHERS.get(name, f"the best classifier that sees no model ({bar.classifier})")
        found.append(
            criteria.of_rule(
                difference,
                policy.margin,
                against,
                Basis("", members, len(shared.record_id) - members),
                must_be_shown=policy.rules_must_be_shown,
            )
        )
    return found


def _summary(student: dict[str, Any]) -> str:
    words = {"pass": "passes", "fail": "fails", "investigate": "is undecided"}
    return f"{student['name']} {words[student['verdict']]}. {student['reasons'][0]}"


def _json(estimate: Estimate) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in asdict(estimate).items()}
