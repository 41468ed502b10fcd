"""A study: a configuration whose entries are resolved and checked, each once."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from distilleak.settings.architecture import CheckpointSettings, PairSettings
from distilleak.settings.training import TrainingSettings
from distilleak.study import arms, bases, checks, corpora, entries, students
from distilleak.study.arms import Arm
from distilleak.study.bases import Base
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
        bases: name -> base model.
        pairs: name -> pair, with the directories of bases in place of their names.
        arms: name -> pair and corpus; the name of the pair, followed by the corpus if it has one.
        attacks: name -> attack.
        teachers: name of a further teacher -> how it is trained.
        students: name -> student.
    """

    configuration: Configuration
    corpora: Mapping[str, Corpus]
    bases: Mapping[str, Base]
    pairs: Mapping[str, PairSettings]
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
        if isinstance(members, float) or arm.masked or arm.vocabulary is None:
            return False
        configuration = self.configuration
        tokens = members * configuration.encoding.context
        size = 4 * tokens * arm.vocabulary
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
        texts = [corpus.texts for corpus in self.corpora.values()]
        texts += [base.texts for base in self.bases.values()]
        starts: list[object] = [c for arm in self.arms.values() for c in arm.checkpoints]
        starts += [base.settings.model for base in self.bases.values()]
        return any(each.entry.name == "hub" for each in texts) or any(
            isinstance(start, CheckpointSettings) and start.hub is not None for start in starts
        )

    def starts_of(self, pair: str) -> dict[str, str]:
        """Role -> the base that this model of a pair starts from, of those that start from one."""
        known = {base.directory: name for name, base in self.bases.items()}
        starts = {
            role: known.get(start.directory or "")
            for role, start in vars(self.pairs[pair]).items()
            if isinstance(start, CheckpointSettings)
        }
        return {role: base for role, base in starts.items() if base is not None}

    @property
    def public(self) -> list[str]:
        """The bases whose directories hold public texts, from which all records are kept apart."""
        return list(dict.fromkeys(base.group for base in self.bases.values()))

    def complete(self) -> Raw:
        """The configuration with every default written out; it describes the same study."""
        return {
            **self.configuration.model_dump(mode="json"),
            **self._complete_corpora(),
            "bases": {
                name: {
                    **base.settings.model_dump(mode="json", exclude_defaults=False),
                    "corpus": base.texts.flat(),
                }
                for name, base in self.bases.items()
                if not base.shipped
            },
            "methods": {
                name: {**({} if student.early else student.entry.flat()), **student.own}
                for name, student in self.students.items()
            },
            "attacks": {name: attack.flat() for name, attack in self.attacks.items()},
        }

    def _complete_corpora(self) -> Raw:
        if self.configuration.corpus is not None:
            return {"corpus": self.corpora[""].texts.flat()}
        return {
            "corpora": {
                name: {**corpus.texts.flat(), "pools": corpus.pools.model_dump(mode="json")}
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
    known = bases.resolve(configuration)
    pairs = bases.located(configuration.pairs, known)
    shapes = bases.shapes(configuration.pairs, known)
    checks.check_attacks(configuration, found, attacks, pairs, shapes)
    checks.check_pairs(pairs, shapes)
    bases.check_tokenizers(configuration.pairs, known)
    checks.check_training(configuration, pairs)
    teachers = students.teachers(configuration)
    pupils = students.resolve(configuration, pairs)
    checks.check_students(found, pupils, pairs)
    checks.check_ensembles(configuration)
    made = {
        arms.name(pair, corpus): arms.make(
            pair,
            roles,
            corpus,
            shapes=shapes[pair],
            vocabulary=bases.vocabulary(configuration, configuration.pairs[pair], known),
            base=bases.tokenizer_of(configuration.pairs[pair], known),
        )
        for corpus in found
        for pair, roles in pairs.items()
    }
    return Study(
        configuration=configuration,
        corpora=MappingProxyType(found),
        bases=MappingProxyType(known),
        pairs=MappingProxyType(pairs),
        arms=MappingProxyType(made),
        attacks=MappingProxyType(attacks),
        teachers=MappingProxyType(teachers),
        students=MappingProxyType(pupils),
    )
