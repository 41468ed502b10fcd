"""What a configuration file may say: all sections together, each checked by itself."""

from typing import Annotated, Any

from pydantic import Field

from distilleak.settings.architecture import PairSettings
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
from distilleak.settings.tokenizer import TokenizerSettings
from distilleak.settings.training import (
    HardwareSettings,
    StudentTrainingSettings,
    TrainingSettings,
)
from distilleak.settings.vulnerability import VulnerabilitySettings

Raw = dict[str, Any]


class TrainingSection(Settings):
    """How each kind of model is trained."""

    teacher: TrainingSettings
    """The teacher."""
    student: StudentTrainingSettings
    """Every student, whatever its method."""
    reference: TrainingSettings
    """The attacker's reference models."""


class Configuration(Settings):
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
