"""What a study computes: all that the rules and the forecast derive from its configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from distilleak import catalogue
from distilleak.scoring import needs
from distilleak.settings.training import EarlySettings
from distilleak.study import queries
from distilleak.study.arms import Arm
from distilleak.study.configuration import Raw
from distilleak.study.study import Study

SHADOW_SEEDS = 10**6
"""Distance between the training seeds of a study and of its shadows, so that a shadow starts from
other weights."""
UNDONE = "-undone"
"""The end of the name of a model that is undone. No student's name has a hyphen."""


@dataclass(frozen=True)
class Ensemble:
    """Students that are attacked together: as one model, or by whoever holds them all.

    Attributes:
        name: `<kind>-<subset>`; of an undone mixture, followed by `UNDONE`.
        kind: whether their decisions vote or their distributions are averaged.
        students: their names.
        attacked: the models whose decisions vote or whose distributions are averaged: the students
            themselves, or what an attacker makes of them.
        of: of an undone mixture, the one that is released.
    """

    name: str
    kind: Literal["vote", "mixture"]
    students: tuple[str, ...]
    attacked: tuple[str, ...]
    of: str = ""


@dataclass(frozen=True)
class Undone:
    """A model as an attacker attacks it who holds its weights and takes out what can be taken out.

    Attributes:
        name: that of the model that is released, followed by `UNDONE`.
        of: the model that is released.
        parts: what is taken out: modules of `distilleak.models.surgery`.
        attacked: the model whose evidence and scores the attacker's are: the student from which the
            released one was made, for which no model runs again; otherwise `name`.
    """

    name: str
    of: str
    parts: tuple[str, ...]
    attacked: str


@dataclass(frozen=True)
class Reads:
    """Which files the training of a student reads besides records and tokenizer.

    Attributes:
        targets: the stored logits of its teacher.
        teacher: the model of its teacher, which it queries or copies.
        vulnerability: which members are vulnerable.
        teacher_start: what the teacher started from, to copy layers that have seen no member.
    """

    targets: bool
    teacher: bool
    vulnerability: bool
    teacher_start: bool


@dataclass(frozen=True)
class Plan:
    """The jobs of a study, as far as its configuration decides them."""

    study: Study

    @cached_property
    def early(self) -> dict[str, EarlySettings]:
        """Student that is an earlier epoch of another one -> that student and the epoch."""
        students = self.study.students.values()
        return {student.name: student.early for student in students if student.early is not None}

    @cached_property
    def kept(self) -> set[str]:
        """Students whose epochs are all kept, because another one is an early epoch of them."""
        return {early.of for early in self.early.values()}

    @cached_property
    def finished(self) -> dict[str, str]:
        """Student that is a trained one with another output -> the trained one. Nothing is trained
        for it, unless its own epochs are kept, which differ from those of the other."""
        return {
            student.name: student.made_from
            for student in self.study.students.values()
            if student.made_from is not None and student.name not in self.kept
        }

    @cached_property
    def trained(self) -> list[str]:
        """Students that are trained and keep only their last epoch."""
        others = {*self.early, *self.kept, *self.finished}
        return [name for name in self.study.students if name not in others]

    @cached_property
    def undone_students(self) -> dict[str, Undone]:
        """Student that can be undone -> what an attacker makes of it."""
        found = {}
        for student in self.study.students.values():
            if parts := student.method.removable():
                name = f"{student.name}{UNDONE}"
                attacked = self.finished.get(student.name, name)
                found[student.name] = Undone(name, student.name, parts, attacked)
        return found

    @cached_property
    def stripped(self) -> dict[str, Undone]:
        """Name -> undone student that is no other student of the study: it is made and attacked."""
        every = self.undone_students.values()
        return {undone.name: undone for undone in every if undone.attacked == undone.name}

    @cached_property
    def ensembles(self) -> dict[str, Ensemble]:
        """Name -> ensemble: every kind of every subset.

        A vote is an attacker who holds several models and attacks each as well as it can be
        attacked, so of a student that can be undone the undone one votes. A mixture is released,
        and is attacked as it is and with its students undone.
        """
        settings = self.study.configuration.ensembles
        made = []
        for kind in settings.kinds:
            for subset, names in settings.subsets.items():
                name, students = f"{kind}-{subset}", tuple(names)
                undone = tuple(
                    found.attacked if (found := self.undone_students.get(student)) else student
                    for student in students
                )
                released = kind == "mixture"
                made.append(Ensemble(name, kind, students, students if released else undone))
                if released and undone != students:
                    made.append(Ensemble(f"{name}{UNDONE}", kind, students, undone, name))
        return {ensemble.name: ensemble for ensemble in made}

    @cached_property
    def undone_mixtures(self) -> list[str]:
        """Mixtures of students of which at least one is undone."""
        return [ensemble.name for ensemble in self.ensembles.values() if ensemble.of]

    @cached_property
    def undone(self) -> dict[str, Undone]:
        """Student or mixture that can be undone -> what an attacker makes of it."""
        found = dict(self.undone_students)
        for name, ensemble in self.ensembles.items():
            if ensemble.of:
                inside = [found[s].parts for s in ensemble.students if s in found]
                parts = tuple(dict.fromkeys(part for each in inside for part in each))
                found[ensemble.of] = Undone(name, ensemble.of, parts, name)
        return found

    @cached_property
    def votes(self) -> list[str]:
        """Ensembles whose students vote."""
        return [e.name for e in self.ensembles.values() if e.kind == "vote"]

    @cached_property
    def mixtures(self) -> list[str]:
        """Ensembles whose students' distributions are averaged."""
        return [e.name for e in self.ensembles.values() if e.kind == "mixture"]

    @cached_property
    def mixed(self) -> list[str]:
        """Models in any mixture, each once: a mixture's evidence queries them together."""
        inside = (name for mixture in self.mixtures for name in self.ensembles[mixture].attacked)
        return list(dict.fromkeys(inside))

    @cached_property
    def scored(self) -> list[str]:
        """Models that have evidence, or votes, and scores of their own."""
        return ["teacher", *self.study.students, *self.stripped, *self.ensembles]

    @cached_property
    def attacks(self) -> dict[str, Raw]:
        """Name -> {"attack": module, "parameters": all of them}."""
        return {name: entry.named() for name, entry in self.study.attacks.items()}

    @cached_property
    def finder(self) -> Raw:
        """The attack on the teacher that identifies the vulnerable members."""
        return self.attacks[self.study.configuration.vulnerability.attack]

    @cached_property
    def references(self) -> list[str]:
        """Reference models; none where no attack needs one."""
        given = self.study.configuration.references
        count = given if needs.references_of(self._all) and given != "base" else 0
        return [f"reference-{number}" for number in range(count)]

    @cached_property
    def bases(self) -> dict[str, str]:
        """Role -> public model that this model of a pair starts from, as it is; none where no
        attack compares with it."""
        given = self.study.configuration.references
        needed = needs.references_of(self._all) and given == "base"
        roles = ("teacher", "student") if needed or needs.base_of(self._all) else ()
        return {role: f"base-{role}" for role in roles}

    def base(self, model: str) -> str:
        """The public model that a model starts from, where an attack compares with it."""
        return self.bases["teacher" if model == "teacher" else "student"]

    @cached_property
    def shadows(self) -> list[str]:
        """Repetitions of the pipeline on other draws; none where no attack needs one."""
        count = self.study.configuration.shadows if needs.shadows_of(self._all) else 0
        return [f"shadow-{number}" for number in range(count)]

    @cached_property
    def held_teachers(self) -> dict[str, str]:
        """Model that is scored -> the directory of the teacher that an attacker holds beside it.

        That is the one that a student has learned from. Of the teachers of a mixture the first one
        is held. A model that has learned from none is not in it, nor is any where no attack needs
        a teacher.
        """
        if not needs.teacher_of(self._all):
            return {}
        students = self.study.students
        parts: dict[str, tuple[str, ...]] = {name: (name,) for name in students}
        parts |= {name: (undone.of,) for name, undone in self.stripped.items()}
        parts |= {name: self.ensembles[name].students for name in self.mixtures}
        found = {
            model: [self.teacher(name) for name in names if students[name].method.needs_teacher]
            for model, names in parts.items()
        }
        return {model: teachers[0] for model, teachers in found.items() if teachers}

    @cached_property
    def other_teachers(self) -> list[str]:
        """Further teachers that an attacker holds; that of all pairs is queried anyway."""
        return sorted(set(self.held_teachers.values()) - {"teacher"})

    @cached_property
    def counts_tokens(self) -> bool:
        """Whether an attack needs the token counts of the auxiliary pool."""
        return needs.frequencies_of(self._all)

    @cached_property
    def finder_needs_references(self) -> bool:
        """Whether the attack that finds vulnerable members compares with reference models."""
        return needs.references_of([self.finder]) > 0

    @cached_property
    def compares_with_base(self) -> bool:
        """Whether an attack compares with the public model beside any reference models."""
        return needs.base_of(self._all)

    @cached_property
    def finder_needs_base(self) -> bool:
        """Whether the attack that finds vulnerable members compares with the public model."""
        return needs.base_of([self.finder])

    @cached_property
    def finder_views(self) -> list[str]:
        """Views of the teacher's evidence that the attack that finds vulnerable members reads."""
        return needs.views_of([self.finder])

    @cached_property
    def views(self) -> dict[str, list[str]]:
        """Rule that computes evidence -> the views of it that are read."""
        population = ["population"] if needs.population_of(self._all) else []
        of_references = population if needs.reference_population_of(self._all) else []
        of_teachers = population if needs.teacher_population_of(self._all) else []
        of_shadows = population if needs.shadow_population_of(self._all) else []
        candidates = ["candidates"] if self.study.configuration.canaries else []
        # Utility at a fitted temperature is measured of every model that is attacked.
        read = [*needs.views_of(self._all), *population, *candidates, "tempered"]
        return {
            "compute_evidence": read,
            "compute_mixture_evidence": read,
            # Attacks compare with references and shadows on plain text only.
            "compute_reference_evidence": ["plain", *of_references],
            "compute_teacher_evidence": ["plain", *of_teachers],
            # A shadow's teacher also identifies its vulnerable members.
            "compute_shadow_evidence": [*self.finder_views, *of_shadows],
            "compute_shadow_mixture_evidence": ["plain", *of_shadows],
        }

    @cached_property
    def attacked_views(self) -> list[str]:
        """Views of a model's evidence that attacks read."""
        return [view for view in self.views["compute_evidence"] if view != "tempered"]

    def evidence_settings(self, views: Sequence[str]) -> Raw:
        """The settings that matter for these views; models are not queried again for any other."""
        return queries.deciding(self.study.configuration.evidence, views)

    @cached_property
    def figures(self) -> list[str]:
        """The figures for which this study has numbers."""
        absent = set()
        if self.study.configuration.canaries is None:
            absent.add("exposure")
        if all(corpus.pools.design == "paired" for corpus in self.study.corpora.values()):
            absent.add("effects")
        return [name for name in catalogue.names("figures") if name not in absent]

    def lesson(self, student: str, arm: Arm) -> Reads:
        """What the training of a student reads: no more than its method needs."""
        found = self.study.students[student]
        method = found.method
        stored = self.study.reads_stored_targets(found, arm)
        queried = method.needs_teacher and (not stored or arm.copies_layers)
        return Reads(
            targets=method.needs_teacher and stored,
            teacher=queried,
            vulnerability=method.needs_vulnerability,
            teacher_start=arm.copies_layers and not method.needs_teacher,
        )

    def teacher(self, student: str) -> str:
        """The directory of the teacher that a student learns from, below that of a pair."""
        other = self.study.students[student].teacher
        return f"teacher-{other}" if other else "teacher"

    def training_seed(self, seed: str) -> int:
        """The seed of a training: that of the job's study, or the one that all seeds share.

        Args:
            seed: of the study, or `<seed>/shadow-<number>`.
        """
        number, *shadow = seed.split("/")
        fixed = self.study.configuration.training_seed
        own = int(number) if fixed is None else fixed
        if not shadow:
            return own
        return own + SHADOW_SEEDS * (1 + int(shadow[0].rpartition("-")[2]))

    def split_seed(self, seed: int) -> int:
        """The seed with which the data are drawn: that of the study, or the one that all share."""
        fixed = self.study.configuration.split_seed
        return seed if fixed is None else fixed

    @cached_property
    def _all(self) -> list[Raw]:
        return list(self.attacks.values())
