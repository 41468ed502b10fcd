"""The whole configuration of a study: all sections together, checked against each other."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.settings.architecture import PairSettings
from distilleak.settings.base import Settings
from distilleak.settings.deduplication import DeduplicationSettings
from distilleak.settings.distillation import DistillationSettings
from distilleak.settings.encoding import EncodingSettings
from distilleak.settings.ensembles import EnsembleSettings
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.settings.evidence import EvidenceSettings
from distilleak.settings.figures import FigureSettings
from distilleak.settings.gate import GateSettings
from distilleak.settings.pools import PoolSettings
from distilleak.settings.problems import ConfigurationError, explained
from distilleak.settings.tokenizer import TokenizerSettings
from distilleak.settings.training import StudentTrainingSettings, TrainingSettings
from distilleak.settings.vulnerability import VulnerabilitySettings

Raw = dict[str, Any]
NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
PAIR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
TAKEN = {
    "methods": ("teacher",),
    "attacks": ("record_id", "pool", "teacher_member", "student_member"),
    "pairs": ("tokenizer",),
    "ensembles.subsets": (),
}
"""Names that stand for something else beside those that a user gives."""


class TrainingSection(Settings):
    """How each kind of model is trained."""

    teacher: TrainingSettings
    """The teacher."""
    student: StudentTrainingSettings
    """Every student, whatever its method."""
    reference: TrainingSettings
    """The attacker's reference models."""


class Study(Settings):
    """One study: everything that `snakemake` computes for one configuration file."""

    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """Name of the study; results go to results/<study>/."""
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    """Different whole numbers; every seed repeats everything from the split on."""
    corpus: Raw
    """`source`, a module of distilleak.corpora, and its parameters."""
    deduplication: DeduplicationSettings = DeduplicationSettings()
    pools: PoolSettings
    gate: GateSettings = GateSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    encoding: EncodingSettings = EncodingSettings()
    pairs: dict[str, PairSettings] = Field(min_length=1)
    """Name -> teacher and student."""
    training: TrainingSection
    distillation: DistillationSettings = DistillationSettings()
    methods: dict[str, Raw | None] = Field(min_length=1)
    """Name of the student -> parameters. `method` says which method it is, where the name does
    not."""
    references: int = Field(default=1, ge=0)
    """Reference models per pair, trained on the auxiliary pool."""
    vulnerability: VulnerabilitySettings = VulnerabilitySettings()
    ensembles: EnsembleSettings = EnsembleSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    attacks: dict[str, Raw | None] = Field(min_length=1)
    """Name -> parameters. `attack` says which attack it is, where the name does not."""
    evaluation: EvaluationSettings = EvaluationSettings()
    figures: FigureSettings = FigureSettings()

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        _check_names(self)
        self.corpus_entry()
        attacks = self.attack_entries()
        for key, attack in (
            ("vulnerability.attack", self.vulnerability.attack),
            ("figures.headline_attack", self.figures.headline_attack),
        ):
            if attack not in attacks:
                near = catalogue.suggestion(attack, list(attacks))
                raise ConfigurationError(key, f"{attack!r} is not among the attacks{near}")
        _check_folds(self)
        _check_references(self)
        _check_positions(self)
        for name, entry in self.method_entries().items():
            module = catalogue.load("methods", entry["method"])
            method = module.Method(module.Parameters.model_validate(entry["parameters"]))
            for pair, roles in self.pairs.items():
                try:
                    method.check(roles.student)
                except DistilleakError as error:
                    raise ConfigurationError(
                        f"methods.{name}", f"with pair {pair}: {error}"
                    ) from error
        _check_ensembles(self)
        return self

    def corpus_entry(self) -> Raw:
        """{"source": module, "parameters": all of them}."""
        return _entry("corpora", "source", "corpus", None, self.corpus, {})

    def method_entries(self) -> dict[str, Raw]:
        """Name of the student -> {"method": module, "parameters": all of them}."""
        shared = self.distillation.model_dump(exclude={"stored_gib"})
        return {
            name: _entry("methods", "method", f"methods.{name}", name, raw, shared)
            for name, raw in self.methods.items()
        }

    def attack_entries(self) -> dict[str, Raw]:
        """Name -> {"attack": module, "parameters": all of them}."""
        return {
            name: _entry("attacks", "attack", f"attacks.{name}", name, raw, {})
            for name, raw in self.attacks.items()
        }

    def complete(self) -> Raw:
        """The configuration with every default written out; it gives this study again."""

        def flat(entry: Raw, chooser: str) -> Raw:
            return {chooser: entry[chooser], **entry["parameters"]}

        return {
            **self.model_dump(mode="json"),
            "corpus": flat(self.corpus_entry(), "source"),
            "methods": {name: flat(e, "method") for name, e in self.method_entries().items()},
            "attacks": {name: flat(e, "attack") for name, e in self.attack_entries().items()},
        }

    def ensemble_members(self) -> dict[str, list[str]]:
        """Name of the ensemble, `<kind>-<subset>` -> its students."""
        return {
            f"{kind}-{subset}": members
            for kind in self.ensembles.kinds
            for subset, members in self.ensembles.subsets.items()
        }

    def stores_targets(self) -> bool:
        """Whether the teacher's logits on the members are small enough to be stored."""
        if isinstance(self.pools.member, float):
            return False
        size = 4 * self.pools.member * self.encoding.context * self.tokenizer.vocabulary
        return size <= self.distillation.stored_gib * 2**30


def _entry(
    package: str, chooser: str, key: str, name: str | None, raw: Raw | None, shared: Raw
) -> Raw:
    """Resolve an entry to its module and the complete parameters; `shared` fills what is absent."""
    given = dict(raw or {})
    known = catalogue.names(package)
    chosen = given.pop(chooser, name)
    if chosen is None:
        raise ConfigurationError(f"{key}.{chooser}", f"missing; allowed: {', '.join(known)}")
    if chosen not in known:
        place, hint = (
            (key, f"; another name says its `{chooser}`")
            if chosen == name
            else (f"{key}.{chooser}", "")
        )
        raise ConfigurationError(
            place, f"unknown {chooser} {chosen!r}{catalogue.suggestion(str(chosen), known)}{hint}"
        )
    if name in known and chosen != name:
        raise ConfigurationError(
            f"{key}.{chooser}", f"{chosen!r} under the name of another; choose another name"
        )
    kind: type[BaseModel] = catalogue.load(package, chosen).Parameters
    defaults = {field: value for field, value in shared.items() if field in kind.model_fields}
    try:
        parameters = kind.model_validate({**defaults, **given})
    except ValidationError as error:
        raise explained(error, kind, *key.split(".")) from error
    return {chooser: chosen, "parameters": parameters.model_dump(mode="json")}


def _check_names(study: Study) -> None:
    if len(set(study.seeds)) != len(study.seeds):
        raise ConfigurationError("seeds", f"{study.seeds} holds a seed twice")
    for section, names, pattern in (
        ("methods", study.methods, NAME),
        ("attacks", study.attacks, NAME),
        ("ensembles.subsets", study.ensembles.subsets, NAME),
        ("pairs", study.pairs, PAIR_NAME),
    ):
        for name in names:
            if not pattern.fullmatch(name):
                raise ConfigurationError(
                    section, f"{name!r} is no name; it should match {pattern.pattern}"
                )
            if name in TAKEN[section]:
                raise ConfigurationError(f"{section}.{name}", "this name is taken; choose another")


def _check_folds(study: Study) -> None:
    for pool in ("member", "nonmember"):
        size = getattr(study.pools, pool)
        if isinstance(size, int) and study.evaluation.folds > size:
            raise DistilleakError(
                f"evaluation.folds: {study.evaluation.folds} is more than pools.{pool}, {size}; "
                "every fold needs a record of each"
            )


def _check_references(study: Study) -> None:
    for name, entry in study.attack_entries().items():
        needed = catalogue.load("attacks", entry["attack"]).NEEDS.references
        if needed > study.references:
            raise ConfigurationError(
                "references", f"{study.references}, but attacks.{name} needs at least {needed}"
            )


def _check_positions(study: Study) -> None:
    views = {
        view
        for entry in study.attack_entries().values()
        for view in catalogue.load("attacks", entry["attack"]).NEEDS.views
    }
    prefix = study.evidence.prefix_tokens if "prefix_nonmember" in views else 0
    context = study.encoding.context
    needed = 1 + prefix + context
    for name, pair in study.pairs.items():
        for role in ("teacher", "student"):
            positions = getattr(pair, role).positions
            if positions < needed:
                raise ConfigurationError(
                    f"pairs.{name}.{role}.positions",
                    f"{positions} is too short: start token, evidence.prefix_tokens ({prefix}) and "
                    f"encoding.context ({context}) need {needed}",
                )


def _check_ensembles(study: Study) -> None:
    for subset, members in study.ensembles.subsets.items():
        key = f"ensembles.subsets.{subset}"
        unknown = next((member for member in members if member not in study.methods), None)
        if unknown is not None:
            near = catalogue.suggestion(unknown, list(study.methods))
            raise ConfigurationError(key, f"no student {unknown!r}{near}")
        if len(members) < 2 or len(set(members)) != len(members):
            raise ConfigurationError(key, f"{members} should be two or more different students")
