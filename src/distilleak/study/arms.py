"""Pairs on corpora: what figures and tables show apart."""

from collections.abc import Mapping
from dataclasses import dataclass

from distilleak.settings.architecture import (
    ArchitectureSettings,
    CheckpointSettings,
    PairSettings,
    StudentSettings,
    TeacherLayersSettings,
)


@dataclass(frozen=True)
class Arm:
    """One pair on one corpus.

    Attributes:
        pair: name of the pair.
        roles: its teacher, student and reference.
        corpus: name among `corpora`; empty where the study has one corpus.
        split: directory of split.parquet below that of a seed: empty, or `/<corpus>`.
        data: directory of tokenizer, records.parquet and blind.json below that of a seed. Models
            with one tokenizer share it.
        checkpoints: the pretrained models whose tokenizer is used, bases among them; none if one is
            trained for the pair.
        masked: whether the models are known to predict masked tokens; for a checkpoint this is
            known only when it is read.
        vocabulary: number of tokens; None for that of a checkpoint, which is known when it is read.
        base: the base of the study whose directory holds the tokenizer; empty if none does.
    """

    pair: str
    roles: PairSettings
    corpus: str
    split: str
    data: str
    checkpoints: tuple[CheckpointSettings, ...]
    masked: bool
    vocabulary: int | None
    base: str

    @property
    def reference(self) -> ArchitectureSettings | CheckpointSettings:
        """What reference models start from: what the student does, unless the pair names another.

        Never from the teacher's layers, which have seen the members: then from the same shape with
        random weights, or from the checkpoint that the teacher starts from.
        """
        if self.roles.reference is not None:
            return self.roles.reference
        if not isinstance(self.roles.student, TeacherLayersSettings):
            return self.roles.student
        return shape(self.roles.student, self.roles.teacher) or self.roles.teacher

    @property
    def bases(self) -> dict[str, ArchitectureSettings | CheckpointSettings]:
        """Role -> what teacher and student were before the study; for a student from layers of the
        teacher that of the teacher."""
        teacher, student = self.roles.teacher, self.roles.student
        own = teacher if isinstance(student, TeacherLayersSettings) else student
        return {"teacher": teacher, "student": own}

    @property
    def copies_layers(self) -> bool:
        """Whether students start from layers of the teacher."""
        return isinstance(self.roles.student, TeacherLayersSettings)


def name(pair: str, corpus: str) -> str:
    """The name of a pair on a corpus, which is empty where the study has one."""
    return f"{pair}-{corpus}" if corpus else pair


def make(
    pair: str,
    roles: PairSettings,
    corpus: str,
    *,
    shapes: Mapping[str, ArchitectureSettings],
    vocabulary: int | None,
    base: str = "",
) -> Arm:
    """The arm of a pair on a corpus.

    Args:
        pair: its name.
        roles: its models.
        corpus: its name; empty where the study has one.
        shapes: role -> shape, of the models whose shape is known.
        vocabulary: number of tokens, if it is known.
        base: the base of the study whose directory holds the tokenizer.
    """
    split = f"/{corpus}" if corpus else ""
    given = (roles.teacher, roles.student, roles.reference)
    checkpoints = tuple(role for role in given if isinstance(role, CheckpointSettings))
    masked = "teacher" in shapes and shapes["teacher"].kind == "masked"
    own = f"/{pair}" if checkpoints else "/masked" if masked else ""
    return Arm(pair, roles, corpus, split, split + own, checkpoints, masked, vocabulary, base)


def shape(
    start: StudentSettings, teacher: ArchitectureSettings | CheckpointSettings
) -> ArchitectureSettings | None:
    """The architecture of a student as far as the configuration gives it; None for a checkpoint."""
    if isinstance(start, ArchitectureSettings):
        return start
    if isinstance(start, TeacherLayersSettings) and isinstance(teacher, ArchitectureSettings):
        return teacher.model_copy(update={"layers": start.layers})
    return None
