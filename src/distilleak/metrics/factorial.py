"""What leaks through the teacher and through the student's own data, as contrasts of AUCs."""

import numpy as np
from numpy.typing import NDArray

from distilleak.errors import DistilleakError
from distilleak.metrics import closed
from distilleak.metrics.measure import Least, Metrics, Statistics, Values
from distilleak.metrics.rates import Floats, Labels, Weights
from distilleak.metrics.sweep import Area

GROUPS = ("neither", "teacher_only", "student_only", "both")

CONTRASTS = {
    "teacher": ("teacher_only", "neither"),
    "student": ("student_only", "neither"),
    "both": ("both", "neither"),
    "teacher_given_student": ("both", "student_only"),
    "student_given_teacher": ("both", "teacher_only"),
}
"""Maps each AUC to (the group that counts as members, the group that counts as non-members)."""


def groups(teacher_member: Labels, student_member: Labels) -> NDArray[np.int64]:
    """The number in `GROUPS` of each record, (n,); for `bootstrap.stratified`."""
    return teacher_member.astype(np.int64) + 2 * student_member.astype(np.int64)


def effects(scores: Floats, teacher_member: Labels, student_member: Labels) -> Metrics:
    """AUCs between the four groups of a factorial split, and the interaction.

    Resample them with `bootstrap.stratified(groups(...), ...)`, which keeps the groups' sizes.

    `auc_teacher`, `auc_student` and `auc_both` compare a group with "neither": the effect of the
    teacher's training alone, of the student's alone, and of both; 0.5 means no effect.
    `auc_teacher_given_student` is the effect of the teacher's training among the records that the
    student itself trained on, `auc_student_given_teacher` the reverse. `interaction` is by how much
    each membership reveals more in the presence of the other than alone:

        ((auc_teacher_given_student - auc_teacher)
            + (auc_student_given_teacher - auc_student)) / 2

    It is 0 whenever the shifts of the scores by the two memberships add up, whatever the
    distribution of the scores; positive if both together shift them further; and negative if one
    makes the other redundant. The plain contrast auc_both - auc_teacher - auc_student + 0.5 does
    not have this property: an AUC cannot exceed 1, so it becomes negative where strong effects
    merely add up. Probits of the AUCs would help only for normal scores, and are infinite if an
    attack is perfect.

    Args:
        scores: (n,), higher = more likely a member.
        teacher_member: (n,), whether the teacher trained on the record.
        student_member: (n,), whether the student trained on the record.

    Raises:
        DistilleakError: a group has no record, or a score is not finite.
    """
    group = groups(teacher_member, student_member)
    held = np.bincount(group, minlength=len(GROUPS))
    if not held.all():
        raise DistilleakError(
            f"no record in group {GROUPS[int(np.argmin(held))]!r}; a factorial split needs all of "
            f"{', '.join(GROUPS)}"
        )
    areas = {
        name: Area.of(scores, group == GROUPS.index(higher), group == GROUPS.index(lower))
        for name, (higher, lower) in CONTRASTS.items()
    }

    def statistics(w: Weights) -> Statistics:
        auc = {name: area.auc(w) for name, area in areas.items()}
        teacher = auc["teacher_given_student"] - auc["teacher"]
        student = auc["student_given_teacher"] - auc["student"]
        found: Statistics = {(f"auc_{name}", ""): area for name, area in auc.items()}
        return found | {("interaction", ""): (teacher + student) / 2}

    def least(_: Values) -> Least:
        found: Least = {}
        for name, pair in CONTRASTS.items():
            higher, lower = (group == GROUPS.index(each) for each in pair)
            kept = higher | lower
            found[f"auc_{name}", ""] = closed.auc(scores[kept], higher[kept])
        return found

    return Metrics(len(scores), statistics, least)
