"""How attack scores become metrics with intervals."""

from pydantic import Field

from distilleak.settings.base import Settings


class EvaluationSettings(Settings):
    """Thresholds are cross-fitted; intervals come from a bootstrap over records."""

    folds: int = Field(default=5, ge=2, le=1000)
    """Number of folds: each fold is judged by a threshold chosen on all the others."""
    replicates: int = Field(default=1000, ge=100, le=10**6)
    """Bootstrap replicates; the ends of a 95 % interval need about 1,000."""
    margin: float = Field(default=0.02, gt=0, lt=1)
    """Smaller differences in AUC, rates and accuracies do not matter: two models are called
    equivalent if the data show that their difference is below this margin."""
    delta: float = Field(default=1e-5, ge=0, lt=1)
    """delta of the (epsilon, delta)-privacy that an attack refutes; choose it far below one over
    the number of records."""
    guess_share: float = Field(default=0.1, gt=0, le=0.5)
    """Share of the members and of the non-members that the one-run audit guesses, those of which
    it is most certain. Fixed in advance, since the best of several shares would be optimistic."""
