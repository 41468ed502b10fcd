"""A study: a configuration whose entries are resolved and checked, each once."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from distilleak.settings.training import TrainingSettings
from distilleak.study import arms, checks, corpora, entries, students
from distilleak.study.arms import Arm
from distilleak.study.configuration import Configuration, Raw
from distilleak.study.corpora import Corpus
from distilleak.study.entries import Entry
from distilleak.study.students import Student


@dataclass(frozen=True)
class Study:
    """Everything that `snakemake` computes for one configuration.

    Attributes:
        configuration: what the configuration says.
        corpora: name -> corpus; where there is one, its name is empty.
        arms: name -> pair and corpus; the name of the pair, followed by the corpus if it has one.
        attacks: name -> attack.
        teachers: name of a further teacher -> how it is trained.
        students: name -> student.
    """

    configuration: Configuration
    corpora: Mapping[str, Corpus]
    arms: Mapping[str, Arm]
    attacks: Mapping[str, Entry]
    teachers: Mapping[str, TrainingSettings]
    students: Mapping[str, Student]

    def stores_targets(self, arm: Arm) -> bool:
        """Whether the teacher's logits on the members are fixed and small enough to be stored.

        The targets of a masked model change with the masks, and the vocabulary of a checkpoint is
        not known before it is read.
        """
        members = self.corpora[arm.corpus].pools.member
        if isinstance(members, float) or arm.masked or arm.checkpoints:
            return False
        configuration = self.configuration
        tokens = members * configuration.encoding.context
        size = 4 * tokens * configuration.tokenizer.vocabulary
        return size <= configuration.distillation.stored_gib * 2**30

    def reads_stored_targets(self, student: Student, arm: Arm) -> bool:
        """Whether a student with a teacher learns from the stored logits: those of the common
        teacher on the members, without hidden states."""
        return (
            self.stores_targets(arm)
            and not student.method.objective().hidden_weight
            and student.method.pool == "member"
            and student.teacher is None
        )

    def uses_hub(self) -> bool:
        """Whether anything has to be fetched from a hub."""
        sources = any(corpus.entry.name == "hub" for corpus in self.corpora.values())
        return sources or any(c.hub is not None for a in self.arms.values() for c in a.checkpoints)

    def complete(self) -> Raw:
        """The configuration with every default written out; it describes the same study."""
        return {
            **self.configuration.model_dump(mode="json"),
            **self._complete_corpora(),
            "methods": {
                name: {**({} if student.early else student.entry.flat()), **student.own}
                for name, student in self.students.items()
            },
            "attacks": {name: attack.flat() for name, attack in self.attacks.items()},
        }

    def _complete_corpora(self) -> Raw:
        if self.configuration.corpus is not None:
            return {"corpus": self.corpora[""].entry.flat()}
        return {
            "corpora": {
                name: {**corpus.entry.flat(), "pools": corpus.pools.model_dump(mode="json")}
                for name, corpus in self.corpora.items()
            }
        }


def resolve(configuration: Configuration) -> Study:
    """The study that a configuration describes.

    Raises:
        DistilleakError: it does not describe one; the message names the key, what is wrong with it
            and what is allowed.
    """
    checks.check_names(configuration)
    found = corpora.resolve(configuration)
    attacks = {
        name: entries.resolve("attacks", "attack", f"attacks.{name}", name, raw)
        for name, raw in configuration.attacks.items()
    }
    checks.check_attacks(configuration, found, attacks)
    checks.check_pairs(configuration)
    checks.check_training(configuration)
    teachers = students.teachers(configuration)
    pupils = students.resolve(configuration)
    checks.check_students(configuration, found, pupils)
    checks.check_ensembles(configuration)
    made = {
        arms.name(pair, corpus): arms.make(pair, roles, corpus)
        for corpus in found
        for pair, roles in configuration.pairs.items()
    }
    return Study(
        configuration=configuration,
        corpora=MappingProxyType(found),
        arms=MappingProxyType(made),
        attacks=MappingProxyType(attacks),
        teachers=MappingProxyType(teachers),
        students=MappingProxyType(pupils),
    )
