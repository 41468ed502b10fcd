"""What a configuration file may hold: all sections, each checked on its own."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from distilleak.settings.architecture import GivenPairSettings
from distilleak.settings.base import Settings
from distilleak.settings.bases import BaseSettings
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
from distilleak.settings.tokenizer import TokenizerSettings
from distilleak.settings.training import (
    Epochs,
    HardwareSettings,
    LearningRate,
    StudentTrainingSettings,
    TrainingSettings,
)
from distilleak.settings.vulnerability import VulnerabilitySettings

Raw = dict[str, Any]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""What every library takes as a seed."""


MOST_REFERENCES = 1000


def _references(value: Any) -> Any:
    number = isinstance(value, int) and not isinstance(value, bool)
    if value != "base" and not (number and 0 <= value <= MOST_REFERENCES):
        raise PydanticCustomError(
            "references",
            "should be a whole number from 0 to {most}, or `base`",
            {"most": MOST_REFERENCES},
        )
    return value


References = Annotated[
    Annotated[int, Field(ge=0, le=MOST_REFERENCES)] | Literal["base"], BeforeValidator(_references)
]


class TeacherTrainingSettings(TrainingSettings):
    """As for any model, with what suits small models from scratch: enough to memorise."""

    epochs: Epochs = 5
    learning_rate: LearningRate = 0.002


class PupilTrainingSettings(StudentTrainingSettings):
    """As for any student, with what suits small models from scratch."""

    epochs: Epochs = 5
    learning_rate: LearningRate = 0.002


class ReferenceTrainingSettings(TrainingSettings):
    """As for any model, with fewer epochs than the teacher: it should know the language, not its
    own records."""

    epochs: Epochs = 3
    learning_rate: LearningRate = 0.002


class TrainingSection(Settings):
    """How each kind of model is trained. Where a pair starts from pretrained weights, the learning
    rates have no default."""

    teacher: TeacherTrainingSettings = TeacherTrainingSettings()
    """The teacher."""
    student: PupilTrainingSettings = PupilTrainingSettings()
    """Every student, whatever its method."""
    reference: ReferenceTrainingSettings = ReferenceTrainingSettings()
    """The attacker's reference models."""


class Configuration(Settings):
    """One study: everything that `snakemake` computes for one configuration file."""

    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100)
    """Name of the study; results go to results/<study>/."""
    seeds: list[Seed] = Field(default=[0], min_length=1, max_length=1000)
    """Different whole numbers; every seed repeats everything from the split on."""
    split_seed: Seed | None = None
    """Seed of one split that all seeds share; they then differ in training alone. Left out: each
    seed draws its own split."""
    training_seed: Seed | None = None
    """Seed of all that training draws, such as starting weights and the order of records, shared
    by all seeds; they then differ in their split alone. Left out: each seed draws its own."""
    corpus: Raw | None = None
    """`source`, a module of distilleak.corpora, and its parameters; `only` gives conditions on its
    passages."""
    corpora: dict[str, Raw] = Field(default={})
    """Several corpora instead: name -> corpus, with its own `pools` if it needs them. Every pair is
    studied on every corpus."""
    deduplication: DeduplicationSettings = DeduplicationSettings()
    pools: PoolSettings
    gate: GateSettings = GateSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    encoding: EncodingSettings = EncodingSettings()
    bases: dict[str, BaseSettings] = Field(default={})
    """Public models that pairs start from: name -> shape, texts and training. Their texts are kept
    apart from all records of the study."""
    pairs: dict[str, GivenPairSettings] = Field(min_length=1)
    """Name -> teacher and student."""
    training: TrainingSection = TrainingSection()
    hardware: HardwareSettings = HardwareSettings()
    distillation: DistillationSettings = DistillationSettings()
    methods: dict[str, Raw | None] = Field(min_length=1)
    """Name of the student -> parameters. `method` names the method where the student's name does
    not. `training` and `student` change keys of `training.student` and of the pair's student for
    this student alone; `teacher` is one of `teachers`; `early: {of, epoch}` takes another student
    as it was after that epoch and allows no other key."""
    teachers: dict[str, Raw] = Field(default={})
    """Further teachers: name -> the keys of `training.teacher` that differ for this one. They are
    not attacked; students choose them by `teacher`."""
    references: References = 4
    """Reference models per pair, each trained on its own draw from the auxiliary pool. `base`: the
    public model that the attacked one starts from is the only reference, so none is trained."""
    shadows: int = Field(default=0, ge=0, le=1000, multiple_of=2)
    """Repetitions of the complete pipeline on random halves of the evaluated records, for the
    online attacks. An even number, so that every record is a member of half of them."""
    canaries: CanarySettings | None = None
    """Secrets that the teacher and the students train on a known number of times."""
    vulnerability: VulnerabilitySettings = VulnerabilitySettings()
    ensembles: EnsembleSettings = EnsembleSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    attacks: dict[str, Raw | None] = Field(min_length=1)
    """Name -> parameters. `attack` names the attack where the entry's own name does not."""
    evaluation: EvaluationSettings = EvaluationSettings()
    figures: FigureSettings = FigureSettings()
