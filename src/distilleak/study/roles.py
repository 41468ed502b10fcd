"""What each model is in a comparison: trivial, strong or a method; and how tables show it."""

from typing import Literal

from distilleak.settings.training import PrivacySettings
from distilleak.study import students, weights
from distilleak.study.plan import Plan, Undone
from distilleak.study.study import Study
from distilleak.tables.roster import Model, Pair, Roster

Role = Literal["trivial", "strong", "method"]


def role(study: Study, student: str) -> Role:
    """What a student is in the comparison at equal utility.

    A method has to beat the trivial ways of leaking less. A student that sees no member, or whose
    privacy is formal, is a strong alternative.
    """
    found = study.students[student]
    if found.entry.name == "public" or found.teacher is not None:
        return "strong"
    if found.entry.name not in ("kd", "no_teacher", "subset"):
        return "method"
    vocabulary = study.configuration.tokenizer.vocabulary
    # A larger student gains utility; it is not a way to leak less.
    larger = any(
        weights.student_weights(found.starts[arm.pair], arm, vocabulary)
        > weights.student_weights(arm.roles.student, arm, vocabulary)
        for arm in study.arms.values()
    )
    return "strong" if found.training.privacy is not None or larger else "trivial"


def sweep(study: Study, student: str) -> str:
    """The method of which this student is one strength among several; empty if it is none."""
    found = study.students[student]
    if role(study, student) != "method" or found.entry.name == "combination":
        return ""
    alone = students.differs_in_strength_alone(found, study.configuration)
    return found.entry.name if alone else ""


def label(study: Study, model: str) -> str:
    """The name of a model as tables and figures print it, with its privacy budget if it has one."""
    return model.replace("_", " ").replace("-", " ") + _guarantee(study, model)


def undoing(undone: Undone) -> str:
    """How an attacker attacks a model that can be undone, in a few words: "without map"."""
    return f"without {' and '.join(part.rpartition('_')[2] for part in undone.parts)}"


def roster(plan: Plan) -> Roster:
    """Which models there are, in the order in which figures and tables show them."""
    study, configuration = plan.study, plan.study.configuration
    teacher = Model(
        model="teacher", kind="teacher", method="teacher", label=label(study, "teacher")
    )
    pupils = [
        Model(
            model=name,
            kind="student",
            method=student.entry.name,
            label=label(study, name),
            role=role(study, name),
            sweep=sweep(study, name),
        )
        for name, student in study.students.items()
    ]
    ensembles = [
        Model(
            model=name,
            kind=ensemble.kind,
            method=ensemble.kind,
            label=label(study, name),
            members=list(ensemble.students),
        )
        for name, ensemble in plan.ensembles.items()
        if not ensemble.of
    ]
    released = [teacher, *pupils, *ensembles]
    models = [shown for model in released for shown in (model, *_undone(plan, model))]
    return Roster(
        seeds=configuration.seeds,
        differing=_differing(study),
        headline_attack=configuration.figures.headline_attack,
        attacks=list(study.attacks),
        threats={name: entry.module.THREAT for name, entry in study.attacks.items()},
        pairs={
            name: Pair(
                models=models,
                data=arm.data,
                # That of a pretrained model is not known before its files are read.
                vocabulary=arm.vocabulary,
                bases=study.starts_of(arm.pair),
            )
            for name, arm in study.arms.items()
        },
    )


def _undone(plan: Plan, released: Model) -> list[Model]:
    """What an attacker makes of a model: one further model, or none."""
    undone = plan.undone.get(released.model)
    if undone is None:
        return []
    how = undoing(undone)
    return [
        Model(
            model=undone.name,
            kind="undone",
            method=released.method,
            label=f"{released.label} {how}",
            members=released.members,
            of=undone.of,
            undoing=how,
            attacked=undone.attacked,
        )
    ]


def _differing(study: Study) -> Literal["split and training", "training", "split"]:
    configuration = study.configuration
    if len(configuration.seeds) > 1 and configuration.split_seed is not None:
        return "training"
    if len(configuration.seeds) > 1 and configuration.training_seed is not None:
        return "split"
    return "split and training"


def _guarantee(study: Study, model: str) -> str:
    """The budget of DP-SGD, as figures and tables print it beside the name of a model."""
    found: list[tuple[str, PrivacySettings | None]] = []
    if model == "teacher":
        found = [("", study.configuration.training.teacher.privacy)]
    elif student := study.students.get(model):
        found = [("", student.training.privacy)]
        if student.teacher is not None:
            found.append(("teacher ", study.teachers[student.teacher].privacy))
    said = [f"{whose}epsilon {p.epsilon:g}" for whose, p in found if p is not None]
    return f" ({', '.join(said)})" if said else ""
