"""How attack scores become figures with intervals."""

from pydantic import Field

from distilleak.settings.base import Settings


class EvaluationSettings(Settings):
    """Thresholds are cross-fitted, intervals come from a bootstrap over records."""

    folds: int = Field(default=5, ge=2)
    """A threshold is chosen on all folds but one and applied to that one."""
    replicates: int = Field(default=1000, ge=100)
    """Bootstrap replicates; the ends of a 95 % interval need about 1,000."""
