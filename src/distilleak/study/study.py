"""The whole configuration of a study: all sections together, checked against each other."""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from distilleak import catalogue
from distilleak.errors import DistilleakError
from distilleak.methods.base import PlainDistillation
from distilleak.settings.architecture import (
    ArchitectureSettings,
    CheckpointSettings,
    PairSettings,
    StudentSettings,
    TeacherLayersSettings,
)
from distilleak.settings.base import Settings
from distilleak.settings.canaries import CanarySettings
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
from distilleak.settings.training import (
    EarlySettings,
    HardwareSettings,
    StudentTrainingSettings,
    TrainingSettings,
)
from distilleak.settings.vulnerability import VulnerabilitySettings
from distilleak.study.arms import Arm, make_arm, student_shape
from distilleak.study.configuration import Raw, TrainingSection
from distilleak.study.entries import resolve

NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
PREFIXED = {"prefix_nonmember", "prefix_member"}
"""Views that begin with evidence.prefix_tokens tokens."""
PAIR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
OWN = ("training", "student", "teacher", "early")
"""Keys of a student's entry that are not its method's: what it changes of the settings of all, and
what it is an early epoch of."""
TAKEN: dict[str, tuple[str, ...]] = {
    "methods": ("teacher", "tokenizer"),
    "attacks": ("record_id", "pool", "teacher_member", "student_member"),
    "pairs": ("tokenizer", "masked"),
    "corpora": ("tokenizer", "masked"),
    "teachers": (),
    "ensembles.subsets": (),
}
"""Names that stand for something else beside those that a user gives."""


class Study(Settings):
    """One study: everything that `snakemake` computes for one configuration file."""

    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """Name of the study; results go to results/<study>/."""
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    """Different whole numbers; every seed repeats everything from the split on."""
    split_seed: int | None = Field(default=None, ge=0)
    """Of the split of all seeds, which then differ in training alone. Left out: each seed draws a
    split of its own."""
    training_seed: int | None = Field(default=None, ge=0)
    """Of all that is drawn in the trainings of all seeds, starting weights and the order of records
    among it; seeds then differ in their split alone. Left out: each seed trains by itself."""
    corpus: Raw | None = None
    """`source`, a module of distilleak.corpora, and its parameters."""
    corpora: dict[str, Raw] = Field(default={})
    """Several of them instead: name -> corpus, with `pools` of its own if it needs them. Every pair
    is studied on every corpus."""
    deduplication: DeduplicationSettings = DeduplicationSettings()
    pools: PoolSettings
    gate: GateSettings = GateSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    encoding: EncodingSettings = EncodingSettings()
    pairs: dict[str, PairSettings] = Field(min_length=1)
    """Name -> teacher and student."""
    training: TrainingSection
    hardware: HardwareSettings = HardwareSettings()
    distillation: DistillationSettings = DistillationSettings()
    methods: dict[str, Raw | None] = Field(min_length=1)
    """Name of the student -> parameters. `method` says which method it is, where the name does
    not. `training` and `student` change keys of `training.student` and of the pair's student for
    this one alone; `teacher` is one of `teachers`; `early: {of, epoch}` takes another student as it
    was after that epoch, and nothing else is said then."""
    teachers: dict[str, Raw] = Field(default={})
    """Further teachers: name -> keys of `training.teacher` that are otherwise for it. They are not
    attacked; students choose them by `teacher`."""
    references: int = Field(default=4, ge=0)
    """Reference models per pair, each trained on a draw of its own from the auxiliary pool."""
    shadows: int = Field(default=0, ge=0, multiple_of=2)
    """Repetitions of the whole pipeline on random halves of the evaluated records, for the online
    attacks. An even number, so that every record is a member of half of them."""
    canaries: CanarySettings | None = None
    """Secrets that the teacher and the students train on a known number of times."""
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
        if (self.corpus is None) == (not self.corpora):
            raise ConfigurationError("corpus", "give either `corpus` or `corpora`")
        self.corpus_entries()
        attacks = self.attack_entries()
        for key, attack in (
            ("vulnerability.attack", self.vulnerability.attack),
            ("figures.headline_attack", self.figures.headline_attack),
        ):
            if attack not in attacks:
                near = catalogue.suggestion(attack, list(attacks))
                raise ConfigurationError(key, f"{attack!r} is not among the attacks{near}")
        _check_folds(self)
        _check_needs(self)
        _check_positions(self)
        _check_pairs(self)
        for name in self.teachers:
            self.teacher_training(name)
        _check_methods(self)
        _check_ensembles(self)
        return self

    def corpus_entries(self) -> dict[str, Raw]:
        """Name -> {"source": module, "parameters": all of them}; one corpus has an empty name."""
        if self.corpus is not None:
            return {"": resolve("corpora", "source", "corpus", None, self.corpus, {})}
        return {
            name: resolve(
                "corpora",
                "source",
                f"corpora.{name}",
                None,
                {key: value for key, value in raw.items() if key != "pools"},
                {},
            )
            for name, raw in self.corpora.items()
        }

    def pools_of(self, corpus: str) -> PoolSettings:
        """The pools of a corpus: its own, or those of the study."""
        own = self.corpora.get(corpus, {}).get("pools")
        if own is None:
            return self.pools
        try:
            return PoolSettings.model_validate(own)
        except ValidationError as error:
            raise explained(error, PoolSettings, "corpora", corpus, "pools") from error

    def arms(self) -> dict[str, Arm]:
        """Name -> pair and corpus; the name of the pair, followed by the corpus if it has one."""
        return {
            f"{name}-{corpus}" if corpus else name: make_arm(name, pair, corpus)
            for corpus in self.corpus_entries()
            for name, pair in self.pairs.items()
        }

    def method_entries(self) -> dict[str, Raw]:
        """Name of the student -> {"method": module, "parameters": all of them}."""
        return {name: self._method_entry(name) for name in self.methods}

    def _method_entry(self, student: str) -> Raw:
        shared = self.distillation.model_dump(exclude={"stored_gib"})
        origin, raw = self._origin(student)
        return resolve("methods", "method", f"methods.{student}", origin, raw, shared)

    def _origin(self, student: str) -> tuple[str, Raw | None]:
        """The name and the entry that say a student's method: its own, or those that it is early
        of."""
        early = self.early_of(student)
        origin = student if early is None else early.of
        return origin, _without_own(self.methods[origin])

    def early_of(self, student: str) -> EarlySettings | None:
        """Which student this one is an early epoch of; None if it is trained itself."""
        raw = self.methods[student] or {}
        if "early" not in raw:
            return None
        key = f"methods.{student}.early"
        if others := sorted(raw.keys() - {"early"}):
            raise ConfigurationError(
                f"methods.{student}.{others[0]}", "is that of the student that this is early of"
            )
        try:
            found = EarlySettings.model_validate(_own(raw, student, "early"))
        except ValidationError as error:
            raise explained(error, EarlySettings, "methods", student, "early") from error
        if found.of not in self.methods or "early" in (self.methods[found.of] or {}):
            trained = [name for name, raw in self.methods.items() if "early" not in (raw or {})]
            near = catalogue.suggestion(found.of, trained)
            raise ConfigurationError(f"{key}.of", f"no trained student {found.of!r}{near}")
        epochs = self.training_of(found.of).epochs
        method = self._method(found.of)
        own_records = method.pool != "member" or "the records" in method.all_changes()
        if self.training_of(found.of).budget == "steps" and own_records:
            raise ConfigurationError(
                f"{key}.of",
                f"{found.of} has other records than the members and `budget: steps`, so how many "
                "epochs it has is not known beforehand; use `budget: epochs`",
            )
        if epochs == 1:
            raise ConfigurationError(f"{key}.of", f"{found.of} has one epoch and so no earlier one")
        if found.epoch >= epochs:
            raise ConfigurationError(
                f"{key}.epoch", f"{found.epoch}, but {found.of} ends after {epochs}; allowed: 1 to "
                f"{epochs - 1}"
            )  # fmt: skip
        return found

    def teacher_of(self, student: str) -> str | None:
        """The one of `teachers` that a student learns from; None for the teacher of all."""
        early = self.early_of(student)
        name = (self.methods[student if early is None else early.of] or {}).get("teacher")
        if name is not None and (not isinstance(name, str) or name not in self.teachers):
            near = catalogue.suggestion(str(name), list(self.teachers))
            raise ConfigurationError(
                f"methods.{student}.teacher", f"no {name!r} among `teachers`{near}"
            )
        return name

    def trained_as(self, student: str) -> str | None:
        """A student whose trained model this one is made from, since its method only acts on a
        trained one; None if there is none, and it is trained itself."""
        wanted = self._method(student).trained_like()
        if wanted is None:
            return None
        parameters = self._parameters(wanted).model_dump(mode="json")
        entry = {"method": wanted["method"], "parameters": parameters}

        def training(name: str) -> tuple[object, ...]:
            starts = [self.student_of(name, pair) for pair in self.pairs.values()]
            return self.training_of(name), starts, self.teacher_of(name)

        alike = (
            name
            for name, found in self.method_entries().items()
            if found == entry
            and self.early_of(name) is None
            and training(name) == training(student)
        )
        return next(alike, None)

    def _method(self, student: str) -> PlainDistillation[Any]:
        entry = self._method_entry(student)
        module = catalogue.load("methods", entry["method"])
        return module.Method(self._parameters(entry))  # type: ignore[no-any-return]

    @staticmethod
    def _parameters(entry: Raw) -> BaseModel:
        kind: type[BaseModel] = catalogue.load("methods", entry["method"]).Parameters
        return kind.model_validate(entry["parameters"])

    def teacher_training(self, name: str) -> TrainingSettings:
        """How one of `teachers` is trained."""
        merged = {**self.training.teacher.model_dump(), **self.teachers[name]}
        try:
            return TrainingSettings.model_validate(merged)
        except ValidationError as error:
            raise explained(error, TrainingSettings, "teachers", name) from error

    def training_of(self, student: str) -> StudentTrainingSettings:
        """How a student is trained: as all are, but for what its own entry says."""
        early = self.early_of(student)
        if early is not None:
            return self.training_of(early.of)
        given = _own(self.methods[student], student, "training")
        merged = {**self.training.student.model_dump(), **given}
        try:
            return StudentTrainingSettings.model_validate(merged)
        except ValidationError as error:
            raise explained(
                error, StudentTrainingSettings, "methods", student, "training"
            ) from error

    def differs_in_strength_alone(self, student: str) -> bool:
        """Whether a student is trained, by the same objective, and shaped as all of the study are,
        so that nothing but its method and that method's parameters is its own."""
        own = (self.methods[student] or {}).keys() & set(OWN)
        objective = self._method(student).objective().model_dump()
        shared = self.distillation.model_dump(include=set(objective))
        return not own and objective == shared

    def student_of(self, student: str, pair: PairSettings) -> StudentSettings:
        """What a student starts from: as all of its pair do, but for what its own entry says."""
        early = self.early_of(student)
        if early is not None:
            return self.student_of(early.of, pair)
        given = _own(self.methods[student], student, "student")
        if not given:
            return pair.student
        kind = type(pair.student)
        if isinstance(pair.student, CheckpointSettings):
            raise ConfigurationError(
                f"methods.{student}.student",
                "the pair's student is a pretrained model, whose shape is its own",
            )
        if fixed := sorted(given.keys() & {"type", "positions", "init"}):
            raise ConfigurationError(
                f"methods.{student}.student.{fixed[0]}", "is that of the pair for all its students"
            )
        try:
            return kind.model_validate({**pair.student.model_dump(), **given})
        except ValidationError as error:
            raise explained(error, kind, "methods", student, "student") from error

    def attack_entries(self) -> dict[str, Raw]:
        """Name -> {"attack": module, "parameters": all of them}."""
        return {
            name: resolve("attacks", "attack", f"attacks.{name}", name, raw, {})
            for name, raw in self.attacks.items()
        }

    def complete(self) -> Raw:
        """The configuration with every default written out; it gives this study again."""

        def flat(entry: Raw, chooser: str) -> Raw:
            return {chooser: entry[chooser], **entry["parameters"]}

        return {
            **self.model_dump(mode="json"),
            **self._complete_corpora(flat),
            "methods": {
                name: {
                    **self._flat_unless_early(name, flat, entry),
                    **_own_keys(self.methods[name]),
                }
                for name, entry in self.method_entries().items()
            },
            "attacks": {name: flat(e, "attack") for name, e in self.attack_entries().items()},
        }

    def _flat_unless_early(self, name: str, flat: Callable[[Raw, str], Raw], entry: Raw) -> Raw:
        return flat(entry, "method") if self.early_of(name) is None else {}

    def ensemble_members(self) -> dict[str, list[str]]:
        """Name of the ensemble, `<kind>-<subset>` -> its students."""
        return {
            f"{kind}-{subset}": members
            for kind in self.ensembles.kinds
            for subset, members in self.ensembles.subsets.items()
        }

    def reads_stored_targets(self, student: str, arm: Arm) -> bool:
        """Whether a student with a teacher learns from the stored logits, which are those of the
        teacher of all on the members, without hidden states."""
        method = self._method(student)
        return (
            self.stores_targets(arm)
            and not method.objective().hidden_weight
            and method.pool == "member"
            and self.teacher_of(student) is None
        )

    def stores_targets(self, arm: Arm) -> bool:
        """Whether the teacher's logits on the members are fixed and small enough to be stored.

        A masked model's targets change with the masks; a checkpoint's vocabulary is not known here.
        """
        members = self.pools_of(arm.corpus).member
        if isinstance(members, float) or arm.masked or arm.checkpoints:
            return False
        size = 4 * members * self.encoding.context * self.tokenizer.vocabulary
        return size <= self.distillation.stored_gib * 2**30

    def uses_hub(self) -> bool:
        """Whether anything has to be fetched from a hub."""
        corpora = any(entry["source"] == "hub" for entry in self.corpus_entries().values())
        models = any(c.hub is not None for arm in self.arms().values() for c in arm.checkpoints)
        return corpora or models

    def _complete_corpora(self, flat: Any) -> Raw:
        entries = self.corpus_entries()
        if self.corpus is not None:
            return {"corpus": flat(entries[""], "source")}
        return {
            "corpora": {
                name: {
                    **flat(entry, "source"),
                    "pools": self.pools_of(name).model_dump(mode="json"),
                }
                for name, entry in entries.items()
            }
        }


def _own_keys(raw: Raw | None) -> Raw:
    return {key: raw[key] for key in OWN if key in (raw or {})} if raw else {}


def _without_own(raw: Raw | None) -> Raw | None:
    return {key: value for key, value in raw.items() if key not in OWN} if raw else raw


def _own(raw: Raw | None, student: str, key: str) -> Raw:
    given = (raw or {}).get(key, {})
    if not isinstance(given, dict):
        raise ConfigurationError(
            f"methods.{student}.{key}",
            f"should be a mapping of keys to values, not {given!r}",
        )
    return given


def _check_names(study: Study) -> None:
    if len(set(study.seeds)) != len(study.seeds):
        raise ConfigurationError("seeds", f"{study.seeds} holds a seed twice")
    if len(study.seeds) > 1 and None not in (study.split_seed, study.training_seed):
        raise ConfigurationError(
            "training_seed", "with split_seed too, all seeds are the same study; leave one out"
        )
    for section, names, pattern in (
        ("methods", study.methods, NAME),
        ("attacks", study.attacks, NAME),
        ("ensembles.subsets", study.ensembles.subsets, NAME),
        ("pairs", study.pairs, PAIR_NAME),
        ("corpora", study.corpora, NAME),
        ("teachers", study.teachers, NAME),
    ):
        for name in names:
            if not pattern.fullmatch(name):
                raise ConfigurationError(
                    section, f"{name!r} is no name; it should match {pattern.pattern}"
                )
            if name in TAKEN[section]:
                raise ConfigurationError(f"{section}.{name}", "this name is taken; choose another")


def _check_folds(study: Study) -> None:
    for corpus in study.corpus_entries():
        key = f"corpora.{corpus}.pools" if study.corpora.get(corpus, {}).get("pools") else "pools"
        for pool in ("member", "nonmember"):
            size = getattr(study.pools_of(corpus), pool)
            if isinstance(size, int) and study.evaluation.folds > size:
                raise DistilleakError(
                    f"evaluation.folds: {study.evaluation.folds} is more than {key}.{pool}, {size};"
                    " every fold needs a record of each"
                )


def _check_pairs(study: Study) -> None:
    for name, pair in study.pairs.items():
        kinds = {
            role: settings.kind
            for role in ("teacher", "student", "reference")
            if isinstance(settings := getattr(pair, role), ArchitectureSettings)
        }
        if len(set(kinds.values())) > 1:
            raise ConfigurationError(
                f"pairs.{name}", f"all of a pair are causal or all are masked, not {kinds}"
            )
        if (
            isinstance(pair.student, TeacherLayersSettings)
            and isinstance(pair.teacher, ArchitectureSettings)
            and pair.student.layers > pair.teacher.layers
        ):
            raise ConfigurationError(
                f"pairs.{name}.student.layers",
                f"{pair.student.layers}, but the teacher has only {pair.teacher.layers}",
            )


def _check_methods(study: Study) -> None:
    for name, entry in study.method_entries().items():
        module = catalogue.load("methods", entry["method"])
        method = module.Method(module.Parameters.model_validate(entry["parameters"]))
        _check_origin(study, name, method)
        for pair, roles in study.pairs.items():
            start = study.student_of(name, roles)
            shape = student_shape(roles.model_copy(update={"student": start}))
            if shape is None:
                continue
            try:
                method.check(shape)
            except DistilleakError as error:
                raise ConfigurationError(f"methods.{name}", f"with pair {pair}: {error}") from error
            if (
                method.objective().hidden_weight
                and isinstance(roles.teacher, ArchitectureSettings)
                and roles.teacher.width != shape.width
            ):
                raise ConfigurationError(
                    f"methods.{name}.hidden_weight",
                    f"pair {pair}: the teacher is {roles.teacher.width} wide and the student "
                    f"{shape.width}; hidden states of different width have no cosine",
                )


def _check_origin(study: Study, name: str, method: PlainDistillation[Any]) -> None:
    """What a student is trained on, by whom, and whether its privacy can be kept."""
    training = study.training_of(name)
    for corpus in study.corpus_entries():
        if method.pool not in study.pools_of(corpus).sizes():
            raise ConfigurationError(
                f"pools.{method.pool}", f"0, but methods.{name} trains on such records"
            )
    if study.teacher_of(name) is not None:
        if not method.needs_teacher:
            raise ConfigurationError(f"methods.{name}.teacher", "this method has no teacher")
        if method.needs_vulnerability:
            raise ConfigurationError(
                f"methods.{name}.teacher",
                "this method needs the vulnerable members, which are those of the other teacher",
            )
    start = [what for what in method.all_changes() if what not in ("", "the records")]
    if training.privacy is not None and start:
        raise ConfigurationError(
            f"methods.{name}.training.privacy",
            f"{start[0]} that it changes are not private; allowed: kd, no_teacher, public",
        )
    if training.privacy is not None and method.needs_vulnerability:
        raise ConfigurationError(
            f"methods.{name}.training.privacy",
            "which members are vulnerable is not private; allowed: kd, no_teacher, public",
        )


def _check_needs(study: Study) -> None:
    """That there is what the attacks need."""
    judge = study.attack_entries()[study.vulnerability.attack]
    if catalogue.load("attacks", judge["attack"]).NEEDS.shadows:
        raise ConfigurationError(
            "vulnerability.attack",
            f"{study.vulnerability.attack!r} needs shadows, which are not trained on the hold-out; "
            "choose an attack that can be calibrated there",
        )
    for name, entry in study.attack_entries().items():
        needs = catalogue.load("attacks", entry["attack"]).NEEDS
        for key, given, needed in (
            ("references", study.references, needs.references),
            ("shadows", study.shadows, needs.shadows),
        ):
            if needed > given:
                raise ConfigurationError(
                    key, f"{given}, but attacks.{name} needs at least {needed}"
                )
        for corpus in study.corpus_entries():
            for pool, needed in (
                ("population", needs.population),
                ("shown", "prefix_member" in needs.views),
            ):
                if needed and pool not in study.pools_of(corpus).sizes():
                    raise ConfigurationError(
                        f"pools.{pool}", f"0, but attacks.{name} needs such records"
                    )


def _check_positions(study: Study) -> None:
    views = {
        view
        for entry in study.attack_entries().values()
        for view in catalogue.load("attacks", entry["attack"]).NEEDS.views
    }
    prefix = study.evidence.prefix_tokens if views & PREFIXED else 0
    context = study.encoding.context
    for name, pair in study.pairs.items():
        for role in ("teacher", "student", "reference"):
            settings = getattr(pair, role)
            if not isinstance(settings, ArchitectureSettings):
                continue
            ends = 2 if settings.kind == "masked" else 1
            needed = ends + prefix + context
            if settings.positions < needed:
                tokens = "start and end token" if ends == 2 else "start token"
                raise ConfigurationError(
                    f"pairs.{name}.{role}.positions",
                    f"{settings.positions} is too short: {tokens}, evidence.prefix_tokens "
                    f"({prefix}) and encoding.context ({context}) need {needed}",
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
