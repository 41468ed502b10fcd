"""Pairs on corpora: what figures and tables show apart."""

from dataclasses import dataclass

from distilleak.settings.architecture import (
    ArchitectureSettings,
    CheckpointSettings,
    PairSettings,
    TeacherLayersSettings,
)


@dataclass(frozen=True)
class Arm:
    """One pair on one corpus: what figures and tables show apart.

    Attributes:
        pair: teacher and student.
        corpus: name among `corpora`; empty where the study has one corpus.
        split: directory of split.parquet below that of a seed: empty, or `/<corpus>`.
        data: directory of tokenizer, records.parquet and blind.json below that of a seed. Models
            with one tokenizer share it.
        checkpoints: the pretrained models whose tokenizer is used; none if one is trained.
        masked: whether the models are known to predict masked tokens; of a checkpoint it is known
            only when it is read.
    """

    pair: PairSettings
    corpus: str
    split: str
    data: str
    checkpoints: list[CheckpointSettings]
    masked: bool

    def reference(self) -> ArchitectureSettings | CheckpointSettings:
        """What reference models start from: as the student does, unless the pair says otherwise.

        Never from the teacher's layers, which have seen the members: then from the same shape with
        random weights, or from the checkpoint that the teacher starts from.
        """
        if self.pair.reference is not None:
            return self.pair.reference
        if not isinstance(self.pair.student, TeacherLayersSettings):
            return self.pair.student
        return student_shape(self.pair) or self.pair.teacher

    @property
    def copies_layers(self) -> bool:
        """Whether students start from layers of the teacher."""
        return isinstance(self.pair.student, TeacherLayersSettings)

    @property
    def has_checkpoint_vocabulary(self) -> bool:
        """Whether a student of a given shape must ask a pretrained teacher for the vocabulary."""
        shape = isinstance(self.pair.student, ArchitectureSettings)
        return shape and isinstance(self.pair.teacher, CheckpointSettings)


def student_shape(pair: PairSettings) -> ArchitectureSettings | None:
    """The architecture of the student as far as the configuration tells; None for a checkpoint."""
    if isinstance(pair.student, ArchitectureSettings):
        return pair.student
    if isinstance(pair.student, TeacherLayersSettings) and isinstance(
        pair.teacher, ArchitectureSettings
    ):
        return pair.teacher.model_copy(update={"layers": pair.student.layers})
    return None


def make_arm(name: str, pair: PairSettings, corpus: str) -> Arm:
    split = f"/{corpus}" if corpus else ""
    roles = [pair.teacher, pair.student, pair.reference]
    checkpoints = [role for role in roles if isinstance(role, CheckpointSettings)]
    masked = isinstance(pair.teacher, ArchitectureSettings) and pair.teacher.kind == "masked"
    if checkpoints:
        data = f"{split}/{name}" if corpus else f"/{name}"
    else:
        data = f"{split}/masked" if masked else split
    return Arm(pair, corpus, split, data, checkpoints, masked)
