"""The models of an audit, and how strongly each can be attacked, on common records, too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from distilleak.audit.strength import Strength, strength
from distilleak.errors import DistilleakError
from distilleak.metrics import limits
from distilleak.metrics.limits import Estimate, Tails
from distilleak.scoring.scores import Scores
from distilleak.scoring.threats import THREATS
from distilleak.settings.evaluation import EvaluationSettings

ROLES = ("student", "teacher", "base")


@dataclass(frozen=True)
class Audited:
    """A model: its name, its role, one of `ROLES`, and the scores of its records.

    `cut` says of how many of them it was asked only the beginning.
    """

    name: str
    role: str
    scores: Scores
    cut: int = 0


@dataclass(frozen=True)
class Panel:
    """All models of an audit.

    Attributes:
        models: in the order in which they are shown.
        threats: attack -> the name of its threat model.
        settings: folds, replicates and the one-run audit.
        seed: of folds and resampling.
    """

    models: Sequence[Audited]
    threats: Mapping[str, str]
    settings: EvaluationSettings
    seed: int
    _known: dict[tuple[str, tuple[str, ...]], Strength] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the models.

        Raises:
            DistilleakError: a role is unknown or lacking or there twice, as is a name; an attack
                has no threat model, no attack is left, or the models disagree on a label.
        """
        names = [model.name for model in self.models]
        roles = [model.role for model in self.models]
        for name, role in zip(names, roles, strict=True):
            if role not in ROLES:
                raise DistilleakError(f"model {name!r}: role {role!r}; allowed: {', '.join(ROLES)}")
            if names.count(name) > 1:
                raise DistilleakError(f"model {name!r} is given twice; every model has its name")
            if role != "student" and roles.count(role) > 1:
                raise DistilleakError(f"model {name!r}: a second {role}; allowed: one")
        if "student" not in roles:
            raise DistilleakError(f"no student among {', '.join(names)}; an audit judges students")
        for model in self.models:
            for attack in model.scores.attacks:
                if self.threats.get(attack) not in THREATS:
                    raise DistilleakError(
                        f"threats: {attack!r}, an attack on {model.name!r}, has "
                        f"{self.threats.get(attack)!r}; allowed: {', '.join(THREATS)}"
                    )
            if not self.attacks(model):
                raise DistilleakError(f"model {model.name!r}: no attack on it alone")
        self.records()

    def records(self) -> tuple[int, int]:
        """How many members and non-members there are in all models together.

        Raises:
            DistilleakError: a record is a member for one model and a non-member for another.
        """
        label: dict[str, tuple[bool, str]] = {}
        for model in self.models:
            pairs = zip(model.scores.record_id, model.scores.teacher_member, strict=True)
            for record, member in pairs:
                known, first = label.setdefault(record, (bool(member), model.name))
                if known != member:
                    kinds = ("a non-member", "a member")
                    raise DistilleakError(
                        f"record {record!r} is {kinds[known]} in the scores of {first!r} and "
                        f"{kinds[not known]} in those of {model.name!r}"
                    )
        members = sum(member for member, _ in label.values())
        return members, len(label) - members

    def the(self, role: str) -> Audited | None:
        """The only model of this role, or None."""
        return next((model for model in self.models if model.role == role), None)

    def attacks(self, model: Audited) -> list[str]:
        """The attacks on this model alone: what holds another as well shows no leak of this one."""
        return [name for name in model.scores.attacks if THREATS[self.threats[name]].student_alone]

    def strength(self, model: Audited, scores: Scores | None = None) -> Strength:
        """Of the strongest attack on the model, on all of its records or on some `scores`.

        Raises:
            DistilleakError: there are fewer members or non-members than folds.
        """
        judged = model.scores if scores is None else scores
        key = (model.name, tuple(judged.record_id))
        if key not in self._known:
            try:
                found = strength(judged, self.attacks(model), self.settings, self.seed)
            except DistilleakError as error:
                raise DistilleakError(f"model {model.name!r}: {error}") from error
            self._known[key] = found
        return self._known[key]

    def difference(self, one: Audited, other: Audited, tails: Tails) -> Estimate:
        """The AUC on one model minus that on the other, each by its own strongest attack.

        Both are attacked on their common records, with the same folds and the same resampling.
        """
        mine, its = (
            self.strength(first, common(first.scores, second.scores))
            for first, second in ((one, other), (other, one))
        )
        return limits.paired(
            float(mine.outcome.auc[0]),
            mine.replicates.auc,
            float(its.outcome.auc[0]),
            its.replicates.auc,
            min(mine.members, mine.nonmembers),
            tails,
        )


def common(scores: Scores, other: Scores) -> Scores:
    """The records that the other model has, too."""
    return scores.where(np.isin(scores.record_id.astype(str), other.record_id.astype(str)))
