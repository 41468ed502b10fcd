"""Conditions that go beyond a single entry of a configuration, checked on the resolved parts."""

import re
from collections.abc import Collection, Mapping

from distilleak import catalogue
from distilleak.attacks.base import Needs
from distilleak.errors import DistilleakError
from distilleak.floors.floor import FLOORS, UNIFORM
from distilleak.scoring.threats import THREATS
from distilleak.settings.architecture import (
    ArchitectureSettings,
    CheckpointSettings,
    Kind,
    PairSettings,
    TeacherLayersSettings,
)
from distilleak.settings.evidence import PREFIXES
from distilleak.settings.problems import MISSING, ConfigurationError, shown
from distilleak.study import arms
from distilleak.study.configuration import Configuration, TeacherTrainingSettings
from distilleak.study.corpora import Corpus
from distilleak.study.entries import Entry
from distilleak.study.students import Student

Shapes = Mapping[str, Mapping[str, ArchitectureSettings]]
"""Pair -> role -> shape, of the models whose shape is known."""
NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
PAIR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
LONGEST_NAME = 48
"""Characters of a name. The name of a log is composed of those of a pair, a corpus and a model, and
file systems allow 255 bytes."""
PERIODIC = re.compile(r"(.+?)\1{19}$")
"""The end of a name in which Snakemake suspects a rule that calls itself without end."""
SHADOW = re.compile(r"shadow-\d+")
"""Directories of shadows, which lie beside those of pairs."""
TAKEN: dict[str, tuple[str, ...]] = {
    "methods": ("teacher", "tokenizer", "shards", "mixtures", UNIFORM, *FLOORS),
    "attacks": ("record_id", "pool", "teacher_member", "student_member"),
    "pairs": ("tokenizer", "masked"),
    "corpora": (
        "tokenizer",
        "masked",
        "tables",
        "figures",
        "logs",
        "bases",
        "benchmarks",
        "snapshots",
    ),
    "teachers": (),
    "bases": (),
    "ensembles.subsets": ("undone",),
}
"""Names that already mean something else where a user's names stand."""


def check_names(configuration: Configuration) -> None:
    """Check that seeds differ and that names can serve as directories and columns.

    Raises:
        ConfigurationError: they do not.
    """
    seeds = configuration.seeds
    if len(set(seeds)) != len(seeds):
        raise ConfigurationError("seeds", f"{seeds} holds a seed twice")
    if len(seeds) > 1 and None not in (configuration.split_seed, configuration.training_seed):
        raise ConfigurationError(
            "training_seed", "with split_seed too, all seeds are the same study; leave one out"
        )
    for section, names, pattern in (
        ("methods", configuration.methods, NAME),
        ("attacks", configuration.attacks, NAME),
        ("ensembles.subsets", configuration.ensembles.subsets, NAME),
        ("pairs", configuration.pairs, PAIR_NAME),
        ("corpora", configuration.corpora, NAME),
        ("teachers", configuration.teachers, NAME),
        ("bases", configuration.bases, NAME),
    ):
        for name in names:
            _check_name(section, name, pattern)
    _check_directories(configuration)


def check_attacks(
    configuration: Configuration,
    corpora: Mapping[str, Corpus],
    attacks: Mapping[str, Entry],
    pairs: Mapping[str, PairSettings],
    shapes: Shapes,
) -> None:
    """Check that the attacks that the study names exist and that all attacks have what they need.

    Raises:
        DistilleakError: something is missing.
    """
    for key, attack in (
        ("vulnerability.attack", configuration.vulnerability.attack),
        ("figures.headline_attack", configuration.figures.headline_attack),
    ):
        if attack not in attacks:
            near = catalogue.suggestion(attack, list(attacks))
            raise ConfigurationError(key, f"{attack!r} is not among the attacks{near}")
    headline = configuration.figures.headline_attack
    for name, entry in attacks.items():
        threat = getattr(entry.module, "THREAT", None)
        if threat not in THREATS:
            raise ConfigurationError(
                f"attacks.{name}",
                f"the module attacks/{entry.name}.py has "
                + ("no THREAT" if threat is None else f"the THREAT {threat!r}")
                + f"; allowed: {', '.join(THREATS)}",
            )
        if name == headline and not THREATS[threat].student_alone:
            raise ConfigurationError(
                "figures.headline_attack",
                f"{name!r} holds the teacher, too; models are compared by an attack on one alone",
            )
    needs = {name: attack.module.NEEDS for name, attack in attacks.items()}
    _check_folds(configuration, corpora)
    _check_needs(configuration, corpora, needs, pairs)
    _check_positions(configuration, needs, shapes)


def check_pairs(pairs: Mapping[str, PairSettings], shapes: Shapes) -> None:
    """Check that the models of each pair fit together.

    Args:
        pairs: name -> pair.
        shapes: the shapes of its models that are known.

    Raises:
        ConfigurationError: they do not.
    """
    for name, pair in pairs.items():
        known = shapes[name]
        check_kinds(f"pairs.{name}", {role: shape.kind for role, shape in known.items()})
        if (
            isinstance(pair.student, TeacherLayersSettings)
            and "teacher" in known
            and pair.student.layers > known["teacher"].layers
        ):
            raise ConfigurationError(
                f"pairs.{name}.student.layers",
                f"{pair.student.layers}, but the teacher has only {known['teacher'].layers}",
            )


def check_kinds(key: str, kinds: Mapping[str, Kind]) -> None:
    """Check that the models of the pair at `key`, role -> kind, are of one kind.

    Raises:
        ConfigurationError: they are not.
    """
    if len(set(kinds.values())) > 1:
        raise ConfigurationError(
            key, f"all of a pair are causal or all are masked, not {dict(kinds)}"
        )


def needed_positions(
    kind: Kind, configuration: Configuration, views: Collection[str]
) -> tuple[int, str]:
    """The positions for the longest record behind the longest prefix, and what takes them.

    Args:
        kind: of the model.
        configuration: says how long records and prefixes are.
        views: what the attacks of the study are shown.
    """
    prefix = configuration.evidence.prefix_tokens if PREFIXES.keys() & views else 0
    context = configuration.encoding.context
    ends = 2 if kind == "masked" else 1
    tokens = "start and end token" if ends == 2 else "start token"
    needed = ends + prefix + context
    return needed, (
        f"{tokens}, evidence.prefix_tokens ({prefix}) and encoding.context ({context}) need "
        f"{needed}"
    )


def check_training(configuration: Configuration, pairs: Mapping[str, PairSettings]) -> None:
    """Check that learning rates are given where a model does not start from random weights.

    Raises:
        ConfigurationError: one is not.
    """
    missing = [
        (f"training.{role}.learning_rate", pair)
        for role in ("teacher", "student", "reference")
        if "learning_rate" not in (given := getattr(configuration.training, role)).model_fields_set
        and given.epochs
        for pair, roles in pairs.items()
        if _pretrained(roles, role)
    ]
    if missing:
        key, *also = dict.fromkeys(key for key, _ in missing)
        default = TeacherTrainingSettings.model_fields["learning_rate"].default
        raise ConfigurationError(
            key,
            f"{MISSING}; the default, {default}, is for models from scratch, and "
            f"pairs.{missing[0][1]} starts from trained weights, where 0.0001 is usual",
            also,
        )


def _pretrained(roles: PairSettings, role: str) -> bool:
    """Whether a model starts from weights that were trained before the study."""
    start = getattr(roles, role) or roles.student
    if isinstance(start, TeacherLayersSettings):
        start = roles.teacher
    return isinstance(start, CheckpointSettings) and start.init == "checkpoint"


def check_students(
    corpora: Mapping[str, Corpus],
    students: Mapping[str, Student],
    pairs: Mapping[str, PairSettings],
) -> None:
    """Check that every student's method fits what it starts from, learns from and trains on.

    Raises:
        ConfigurationError: it does not.
    """
    for student in students.values():
        _check_origin(student, corpora)
        _check_shapes(student, pairs)


def check_ensembles(configuration: Configuration) -> None:
    """Check that ensembles consist of two or more existing students.

    Raises:
        ConfigurationError: they do not.
    """
    for subset, members in configuration.ensembles.subsets.items():
        key = f"ensembles.subsets.{subset}"
        unknown = next((m for m in members if m not in configuration.methods), None)
        if unknown is not None:
            near = catalogue.suggestion(unknown, list(configuration.methods))
            raise ConfigurationError(key, f"no student {unknown!r}{near}")
        if len(members) < 2 or len(set(members)) != len(members):
            raise ConfigurationError(key, f"{members} should be two or more different students")


def _check_name(section: str, name: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(name):
        raise ConfigurationError(
            section, f"{shown(name)} is no name; it should match {pattern.pattern}"
        )
    if len(name) > LONGEST_NAME:
        raise ConfigurationError(
            section,
            f"{shown(name)} has {len(name)} characters; allowed: at most {LONGEST_NAME}",
        )
    if PERIODIC.search(name):
        raise ConfigurationError(
            f"{section}.{name}", "ends in the same characters twenty times; choose another name"
        )
    if name in TAKEN[section]:
        raise ConfigurationError(f"{section}.{name}", "this name is taken; choose another")


def _check_directories(configuration: Configuration) -> None:
    """Check that the directories of pairs differ from each other and from those of shadows."""
    seen: dict[str, str] = {}
    for name in configuration.pairs:
        # Some file systems ignore case.
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise ConfigurationError(
                f"pairs.{name}", f"differs from {other} in case alone; choose another name"
            )
        for corpus in configuration.corpora or [""]:
            if SHADOW.fullmatch(arms.name(name, corpus)):
                raise ConfigurationError(
                    f"pairs.{name}",
                    f"its directory would be {arms.name(name, corpus)}, as that of a shadow; "
                    "choose another name",
                )


def _check_folds(configuration: Configuration, corpora: Mapping[str, Corpus]) -> None:
    folds = configuration.evaluation.folds
    for corpus in corpora.values():
        for pool in ("member", "nonmember"):
            size = getattr(corpus.pools, pool)
            if isinstance(size, int) and folds > size:
                raise ConfigurationError(
                    "evaluation.folds",
                    f"{folds} is more than {corpus.pools_key}.{pool}, {size}; "
                    "every fold needs a record of each",
                )


def _check_needs(
    configuration: Configuration,
    corpora: Mapping[str, Corpus],
    attacks: Mapping[str, Needs],
    pairs: Mapping[str, PairSettings],
) -> None:
    judge = configuration.vulnerability.attack
    if attacks[judge].shadows:
        raise ConfigurationError(
            "vulnerability.attack",
            f"{judge!r} needs shadows, which are not trained on the hold-out; "
            "choose an attack that can be calibrated there",
        )
    for name, needs in attacks.items():
        alone = configuration.references == "base"
        for key, given, count, needed in (
            (
                "references",
                configuration.references,
                1 if alone else configuration.references,
                needs.references,
            ),
            ("shadows", configuration.shadows, configuration.shadows, needs.shadows),
        ):
            if needed > int(count):
                raise ConfigurationError(
                    key, f"{given}, but attacks.{name} needs at least {needed}"
                )
        if needs.base or (alone and needs.references):
            key = f"attacks.{name}" if needs.base else "references"
            for pair, roles in pairs.items():
                _check_base(key, f"{name!r} compares with it", pair, roles)
        for corpus in corpora.values():
            for pool, wanted in (
                ("population", needs.population),
                ("shown", "prefix_member" in needs.views),
            ):
                if wanted and pool not in corpus.pools.sizes():
                    raise ConfigurationError(
                        f"pools.{pool}", f"0, but attacks.{name} needs such records"
                    )


def _check_base(key: str, why: str, pair: str, roles: PairSettings) -> None:
    """Check that teacher and student of a pair start from a public model."""
    for role in ("teacher", "student"):
        if not _pretrained(roles, role):
            raise ConfigurationError(
                key,
                f"the {role} of pairs.{pair} starts from no base, and {why}; allowed: pairs "
                "that start from a base or a pretrained model",
            )


def _check_positions(
    configuration: Configuration, attacks: Mapping[str, Needs], shapes: Shapes
) -> None:
    views = {view for needs in attacks.values() for view in needs.views}
    for name, known in shapes.items():
        for role, shape in known.items():
            needed, why = needed_positions(shape.kind, configuration, views)
            if shape.positions < needed:
                raise ConfigurationError(
                    f"pairs.{name}.{role}.positions", f"{shape.positions} is too short: {why}"
                )


def _check_origin(student: Student, corpora: Mapping[str, Corpus]) -> None:
    """Check what a student trains on, which teacher it has, and that its privacy can be kept."""
    name, method = student.name, student.method
    for corpus in corpora.values():
        if method.pool not in corpus.pools.sizes():
            raise ConfigurationError(
                f"pools.{method.pool}", f"0, but methods.{name} trains on such records"
            )
    if student.teacher is not None:
        if not method.needs_teacher:
            raise ConfigurationError(f"methods.{name}.teacher", "this method has no teacher")
        if method.needs_vulnerability:
            raise ConfigurationError(
                f"methods.{name}.teacher",
                "this method needs the vulnerable members, which are those of the other teacher",
            )
    if student.training.privacy is None:
        return
    changed = [what for what in method.all_changes() if what not in ("", "the records")]
    if changed:
        raise ConfigurationError(
            f"methods.{name}.training.privacy",
            f"{changed[0]} that it changes are not private; allowed: kd, no_teacher, subset, "
            "public",
        )
    if method.needs_vulnerability:
        raise ConfigurationError(
            f"methods.{name}.training.privacy",
            "which members are vulnerable is not private; allowed: kd, no_teacher, subset, public",
        )


def _check_shapes(student: Student, pairs: Mapping[str, PairSettings]) -> None:
    name, method = student.name, student.method
    for pair, roles in pairs.items():
        shape = arms.shape(student.starts[pair], roles.teacher)
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
