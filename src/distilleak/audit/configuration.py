"""What the configuration of an audit may hold."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from distilleak.corpora import local
from distilleak.settings.api import ApiSettings
from distilleak.settings.base import Settings
from distilleak.settings.deduplication import DeduplicationSettings
from distilleak.settings.encoding import EncodingSettings
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.settings.evidence import EvidenceSettings
from distilleak.settings.finished import FinishedSettings
from distilleak.settings.gate import GateSettings
from distilleak.settings.policy import PolicySettings
from distilleak.settings.training import HardwareSettings

Raw = dict[str, Any]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
TEACHER = "teacher"
"""The name of the model that the others have learned from."""
BASE = "base"
"""What verdicts call the public model."""


def _texts(value: Any) -> Any:
    return {"path": value} if isinstance(value, str | list) else value


Texts = Annotated[local.Parameters, BeforeValidator(_texts)]


def _kind(value: Any) -> str:
    given = value if isinstance(value, dict) else vars(value)
    return "[api]" if "api" in given else "[finished]"


Audited = Annotated[
    Annotated[FinishedSettings, Tag("[finished]")] | Annotated[ApiSettings, Tag("[api]")],
    Discriminator(_kind),
]
"""A model that lies somewhere, or one behind an API."""


class AuditTexts(Settings):
    """The texts with which finished models are judged."""

    members: Texts
    """Texts that the teacher was trained on: a file, or the parameters of the corpus `local`."""
    nonmembers: Texts
    """Comparable texts that no model was trained on."""
    auxiliary: Texts | None = None
    """Further texts of the same kind that no model was trained on, as an attacker has them. Attacks
    that need some are left out without them."""


class AuditSection(AuditTexts):
    """Finished models, and the texts with which they are judged."""

    models: dict[Name, Audited] = Field(min_length=1)
    """Name -> a finished model, in a directory or behind an API. `teacher` is the one that the
    others have learned from; every other name is a student, and gets a verdict."""
    base: FinishedSettings | None = None
    """The public model that all have started from. Attacks compare with it if it reads the same
    tokens."""

    @property
    def texts(self) -> AuditTexts:
        """The texts alone."""
        return AuditTexts(
            members=self.members, nonmembers=self.nonmembers, auxiliary=self.auxiliary
        )

    @model_validator(mode="after")
    def _a_student(self) -> "AuditSection":
        if {*self.models} == {TEACHER}:
            raise ValueError(f"models: besides `{TEACHER}` an audit needs a student")
        if BASE in self.models:
            raise ValueError(f"models: `{BASE}` is no student; say it as audit.{BASE}")
        return self


class AuditConfiguration(Settings):
    """One audit: everything that is computed for one configuration file with `audit`."""

    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100)
    """Name of the audit; results go to results/<study>/."""
    audit: AuditSection
    policy: PolicySettings = PolicySettings()
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Of all that is drawn: folds, resampling, prefixes."""
    deduplication: DeduplicationSettings = DeduplicationSettings()
    encoding: EncodingSettings = EncodingSettings(context=192)
    gate: GateSettings = GateSettings(on_failure="report")
    evidence: EvidenceSettings = EvidenceSettings()
    attacks: dict[str, Raw | None] | None = Field(default=None, min_length=1)
    """Name -> parameters, as in a study. Left out: every attack that needs no training."""
    evaluation: EvaluationSettings = EvaluationSettings()
    hardware: HardwareSettings = HardwareSettings()
