"""Which models a study has, in the order in which tables and figures show them."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from distilleak.scoring.threats import THREATS
from distilleak.settings.base import Settings


class Model(Settings):
    """One model of a pair."""

    model: str
    kind: Literal["teacher", "student", "vote", "mixture", "undone"]
    method: str
    label: str
    role: Literal["trivial", "strong", "method"] = "method"
    """What it is in the comparison at equal utility: what has to be beaten, or what has to beat."""
    sweep: str = ""
    """The method, if this is a student that differs from others of it in strength alone."""
    members: list[str] = Field(default=[])
    """Of an ensemble, undone or not: the students in it."""
    of: str = ""
    """Of an undone model: the one that is released, whose utility it has."""
    undoing: str = ""
    """Of an undone model: how it is attacked, such as "without map"."""
    attacked: str = ""
    """Of an undone model: the model whose evidence, scores and metrics those of the attack are."""

    @property
    def source(self) -> str:
        """The model under whose name the stages left the results of attacks."""
        return self.attacked or self.model

    @property
    def decision(self) -> str:
        """The name of the threshold by which this model's records are called members."""
        return "majority" if self.kind == "vote" else "cross_fitted"


class Pair(Settings):
    """A teacher and all that came of it, in drawing order."""

    models: list[Model] = Field(min_length=1)
    data: str = Field(default="", pattern=r"^(/[^/]+)*$")
    """Directory of its records and blind verdict below that of a seed: empty, or beginning with a
    slash. Pairs may share one."""
    vocabulary: int | None = Field(default=None, ge=1)
    """Tokens that its models know; None where only a pretrained model's own files say it."""

    bases: dict[str, str] = Field(default={})
    """`teacher` or `student` -> the public base model that it starts from, if it does."""

    def of_kind(self, *kinds: str) -> list[Model]:
        """The models of these kinds, in drawing order."""
        return [model for model in self.models if model.kind in kinds]

    def is_student(self, model: Model) -> bool:
        """Whether a model is a student, as it is or undone."""
        released = self.named(model.of) or model
        return released.kind == "student"

    def undone(self, released: str) -> Model | None:
        """What an attacker makes of a model, if it can be undone."""
        return next((model for model in self.models if model.of == released), None)

    def named(self, name: str) -> Model | None:
        """The model of this name, if there is one."""
        return next((model for model in self.models if model.model == name), None)


class Roster(Settings):
    """What a study consists of, as the workflow knows it."""

    seeds: list[int] = Field(min_length=1)
    headline_attack: str
    attacks: list[str] = Field(min_length=1)
    threats: dict[str, str]
    """Attack -> the name of its threat model."""
    pairs: dict[str, Pair] = Field(min_length=1)
    differing: Literal["split and training", "training", "split"] = "split and training"
    """What seeds differ in."""

    @model_validator(mode="after")
    def _consistent(self) -> "Roster":
        if self.headline_attack not in self.attacks:
            raise ValueError(
                f"headline_attack {self.headline_attack!r} is not among the attacks: "
                f"{', '.join(self.attacks)}"
            )
        if self.threats.keys() != set(self.attacks):
            raise ValueError(
                f"threats: given of {', '.join(self.threats) or 'no attack'}; "
                f"attacks: {', '.join(self.attacks)}"
            )
        for attack, threat in self.threats.items():
            if threat not in THREATS:
                raise ValueError(
                    f"threats.{attack}: unknown threat model {threat!r}; "
                    f"allowed: {', '.join(THREATS)}"
                )
        for name, pair in self.pairs.items():
            students = {model.model for model in pair.of_kind("student")}
            for model in pair.models:
                unknown = [member for member in model.members if member not in students]
                if unknown:
                    raise ValueError(
                        f"pair {name!r}: ensemble {model.model!r} has member {unknown[0]!r}, which "
                        f"is no student; students: {', '.join(sorted(students))}"
                    )
                if (model.kind == "undone") != bool(model.of and model.undoing and model.attacked):
                    raise ValueError(
                        f"pair {name!r}: model {model.model!r} of kind {model.kind!r}: `of`, "
                        "`undoing` and `attacked` belong to the kind 'undone', and it needs all"
                    )
                if model.of and pair.named(model.of) is None:
                    raise ValueError(
                        f"pair {name!r}: model {model.model!r} undoes {model.of!r}, which is no "
                        "model of the pair"
                    )
        return self

    def on_one_model(self) -> list[str]:
        """The attacks that hold no other model beside the one that they attack, in order."""
        return [name for name in self.attacks if THREATS[self.threats[name]].student_alone]

    def models(self) -> Iterator[tuple[str, Model]]:
        """(pair, model) of every model, in order."""
        return ((name, model) for name, pair in self.pairs.items() for model in pair.models)
