"""no_teacher: a student of the same size trained on the members without a teacher; the control.

Whatever it leaks, it leaks because it has seen the members itself.
"""

from distilleak.methods.base import PlainDistillation
from distilleak.settings.base import Settings
from distilleak.settings.objective import ObjectiveSettings

ALONE = ObjectiveSettings(alpha=1.0)


class Parameters(Settings):
    """Cross-entropy on the true tokens has nothing to choose."""


class Method(PlainDistillation):  # type: ignore[type-arg]  # it has no objective to choose
    """Cross-entropy only."""

    needs_teacher: bool = False

    def objective(self) -> ObjectiveSettings:
        """alpha = 1: the teacher's part of the loss is gone."""
        return ALONE
