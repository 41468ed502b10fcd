"""What a configuration file may say."""

from typing import Any

from distilleak.settings.base import Settings
from distilleak.settings.training import StudentTrainingSettings, TrainingSettings

Raw = dict[str, Any]


class TrainingSection(Settings):
    """How each kind of model is trained."""

    teacher: TrainingSettings
    """The teacher."""
    student: StudentTrainingSettings
    """Every student, whatever its method."""
    reference: TrainingSettings
    """The attacker's reference models."""
