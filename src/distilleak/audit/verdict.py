"""The verdict of an audit as verdict.json holds it: read, and checked against its schema."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distilleak.errors import DistilleakError
from distilleak.guards import sealed_json

SCHEMA = 1
"""The version of the schema. A key that is added leaves it alone; one that is renamed, removed or
gets another meaning raises it."""

Decision = Literal["pass", "fail", "investigate"]
Role = Literal["student", "teacher", "base"]


class _Part(BaseModel):
    """A part of the file. Keys that this version does not know are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class Estimate(_Part):
    """A number and its interval; what could not be measured is null."""

    value: float | None
    low: float | None
    high: float | None


class Epsilon(_Part):
    """The least epsilon at `delta` that the attacks leave possible."""

    low: float | None
    delta: float


class Records(_Part):
    """How many records the verdict rests on."""

    members: int = Field(ge=0)
    nonmembers: int = Field(ge=0)


class Blind(_Part):
    """The blind gate: how well members are told apart by a classifier that sees no model."""

    passed: bool
    auc: float | None
    low: float | None
    high: float | None
    classifier: str | None
    explanation: str | None

    def estimate(self) -> Estimate:
        """The AUC with its interval."""
        return Estimate(value=self.auc, low=self.low, high=self.high)


class Attack(_Part):
    """One attack on one model, by itself."""

    attack: str
    threat: str
    auc: Estimate
    tpr: Estimate


class Versus(_Part):
    """Differences in AUC, paired by record: the model less the other; null without the other."""

    teacher: Estimate | None
    base: Estimate | None
    blind: Estimate | None


class Model(_Part):
    """One audited model.

    `attack` and `threat` are those that were picked most often on the other folds; `auc`, `tpr` and
    `fpr` are of the attacker who picks.
    """

    name: str
    role: Role
    verdict: Decision | None
    reasons: list[str]
    attack: str | None
    threat: str | None
    auc: Estimate
    tpr: Estimate
    fpr: Estimate
    epsilon: Epsilon | None
    attacks: list[Attack]
    versus: Versus
    more_records: int | None


class Policy(_Part):
    """The policy with its defaults, of which the page shows every key."""

    model_config = ConfigDict(extra="allow")

    max_auc: float
    level: float


class Verdict(_Part):
    """All of verdict.json."""

    study: str
    verdict: Decision
    reasons: list[str]
    next: list[str]
    records: Records
    blind: Blind
    policy: Policy
    models: list[Model] = Field(min_length=1)
    left_out: dict[str, str]
    versions: dict[str, str]

    def in_order(self) -> list[Model]:
        """All models as people read them: the candidates, then the teacher, then the base."""
        roles = ("student", "teacher", "base")
        return sorted(self.models, key=lambda model: roles.index(model.role))

    def students(self) -> list[Model]:
        """The candidates: the models that get a verdict."""
        return [model for model in self.models if model.role == "student"]


def read(path: str | Path) -> Verdict:
    """Read verdict.json.

    Raises:
        DistilleakError: the file is missing, damaged, of another version of the schema, or lacks a
            key; the message names the file and the key.
    """
    found = sealed_json.read(path)
    if not isinstance(found, dict):
        raise DistilleakError(f"{path}: not an object with keys, so no verdict of an audit")
    if found.get("schema") != SCHEMA:
        version = f"is {found['schema']!r}" if "schema" in found else "is missing"
        raise DistilleakError(
            f"{path}: key 'schema' {version}, and this version reads {SCHEMA}; judge the audit "
            "again"
        )
    try:
        return Verdict.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise DistilleakError(f"{path}: no key {key!r}; judge the audit again") from error
        raise DistilleakError(
            f"{path}: key {key!r}: {first['msg'][0].lower()}{first['msg'][1:]}; another version or "
            "another program wrote this file"
        ) from error
