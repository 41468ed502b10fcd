"""The whole configuration of a study: all sections together, checked against each other."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
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
from distilleak.settings.tokenizer import TokenizerSettings
from distilleak.settings.training import StudentTrainingSettings, TrainingSettings
from distilleak.settings.vulnerability import VulnerabilitySettings

Raw = dict[str, Any]
NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
PAIR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
RESERVED = ("teacher", "vulnerable")


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
    seeds: list[int] = Field(min_length=1)
    """Every seed repeats everything from the split on."""
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
                raise DistilleakError(
                    f"{key}: {attack!r} is not configured{catalogue.suggestion(attack, list(attacks))}"
                )
        _check_references(self)
        _check_positions(self)
        for name, entry in self.method_entries().items():
            module = catalogue.load("methods", entry["method"])
            method = module.Method(module.Parameters.model_validate(entry["parameters"]))
            for pair in self.pairs.values():
                _at(f"methods.{name}", lambda m=method, p=pair: m.check(p.student))
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


def load(raw: Mapping[str, Any], source: str) -> Study:
    """Check a configuration that was read from `source`.

    Raises:
        DistilleakError: names `source`, the key, what is wrong and what is allowed.
    """
    try:
        return Study.model_validate(dict(raw))
    except ValidationError as error:
        raise DistilleakError(f"{source}: {_explained(error, Study)}") from error
    except DistilleakError as error:
        raise DistilleakError(f"{source}: {error}") from error


def read_yaml(path: str | Path) -> Raw:
    """Read a configuration file.

    Raises:
        DistilleakError: it is missing, is not YAML, or gives a key twice.
    """
    try:
        value = yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506
    except FileNotFoundError as error:
        raise DistilleakError(f"{path}: no such file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DistilleakError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise DistilleakError(f"{path}: a configuration is a mapping of keys to values")
    return value


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {twice!r} is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _entry(
    package: str, chooser: str, key: str, name: str | None, raw: Raw | None, shared: Raw
) -> Raw:
    """Resolve an entry to its module and the complete parameters; `shared` fills what is absent."""
    given = dict(raw or {})
    chosen = given.pop(chooser, name)
    if not isinstance(chosen, str):
        raise DistilleakError(
            f"{key}.{chooser}: missing; allowed: {', '.join(catalogue.names(package))}"
        )
    module = _at(key, lambda: catalogue.load(package, chosen))
    kind: type[BaseModel] = module.Parameters
    defaults = {field: value for field, value in shared.items() if field in kind.model_fields}
    try:
        parameters = kind.model_validate({**defaults, **given})
    except ValidationError as error:
        raise DistilleakError(f"{key}.{_explained(error, kind)}") from error
    return {chooser: chosen, "parameters": parameters.model_dump(mode="json")}


def _at(key: str, action: Any) -> Any:
    """Run `action`; an error in it is about `key`."""
    try:
        return action()
    except DistilleakError as error:
        raise DistilleakError(f"{key}: {error}") from error


def _explained(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem of a configuration, in one line."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("int", "float"))
    if first["type"] == "extra_forbidden":
        known = list(_model_at(model, first["loc"][:-1]).model_fields)
        return f"{place}: unknown key{catalogue.suggestion(str(first['loc'][-1]), known)}"
    if first["type"] == "missing":
        return f"{place}: missing"
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if isinstance(first["input"], dict | list):
        return f"{place}: {message}" if place else message
    return f"{place}: {message}, not {first['input']!r}"


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    for part in location:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        # A dictionary's keys are names; its values are the model to go on with.
        inner = [annotation, *getattr(annotation, "__args__", ())]
        found = [kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)]
        model = found[0] if found else model
    return model


def _check_names(study: Study) -> None:
    if len(set(study.seeds)) != len(study.seeds) or min(study.seeds) < 0:
        raise DistilleakError(f"seeds: {study.seeds} must be different and not negative")
    for section, names, pattern in (
        ("methods", study.methods, NAME),
        ("attacks", study.attacks, NAME),
        ("ensembles.subsets", study.ensembles.subsets, NAME),
        ("pairs", study.pairs, PAIR_NAME),
    ):
        for name in names:
            if not pattern.fullmatch(name) or name in RESERVED:
                raise DistilleakError(
                    f"{section}: {name!r} cannot be a name; allowed: {pattern.pattern}, "
                    f"but not {' or '.join(RESERVED)}"
                )


def _check_references(study: Study) -> None:
    for name, entry in study.attack_entries().items():
        needed = catalogue.load("attacks", entry["attack"]).REFERENCES
        if needed > study.references:
            raise DistilleakError(
                f"references: {study.references}, but attacks.{name} needs at least {needed}"
            )


def _check_positions(study: Study) -> None:
    views = {
        view
        for entry in study.attack_entries().values()
        for view in catalogue.load("attacks", entry["attack"]).VIEWS
    }
    prefix = study.evidence.prefix_tokens if "prefix_nonmember" in views else 0
    needed = 1 + prefix + study.encoding.context
    for name, pair in study.pairs.items():
        for role in ("teacher", "student"):
            positions = getattr(pair, role).positions
            if positions < needed:
                raise DistilleakError(
                    f"pairs.{name}.{role}.positions: {positions} is too short: start token, "
                    f"prefix ({prefix}) and encoding.context ({study.encoding.context}) "
                    f"need {needed}"
                )


def _check_ensembles(study: Study) -> None:
    for subset, members in study.ensembles.subsets.items():
        key = f"ensembles.subsets.{subset}"
        unknown = next((member for member in members if member not in study.methods), None)
        if unknown is not None:
            raise DistilleakError(
                f"{key}: no student {unknown!r}"
                f"{catalogue.suggestion(unknown, list(study.methods))}"
            )
        if len(members) < 2 or len(set(members)) != len(members):
            raise DistilleakError(f"{key}: {members} must be two or more different students")
