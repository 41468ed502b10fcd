"""How attack scores become figures with intervals."""

from pydantic import Field

from distilleak.settings.base import Settings


class EvaluationSettings(Settings):
    """Thresholds are cross-fitted, intervals come from a bootstrap over records."""

    folds: int = Field(default=5, ge=2)
    """A threshold is chosen on all folds but one and applied to that one."""
    replicates: int = Field(default=1000, ge=100)
    """Bootstrap replicates; the ends of a 95 % interval need about 1,000."""
    margin: float = Field(default=0.02, gt=0, lt=1)
    """Differences in AUC, rates and accuracies that are smaller do not matter: two models are
    called equivalent where the data show that theirs is."""
    delta: float = Field(default=1e-5, ge=0, lt=1)
    """Of the (epsilon, delta)-privacy that an attack refutes; far below one over the records."""
    guess_share: float = Field(default=0.1, gt=0, le=0.5)
    """Share of the records on either side that the one-run audit guesses, the most certain ones;
    fixed in advance, since the best of several shares would be optimistic."""
