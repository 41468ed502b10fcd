"""Settings of the blind gate."""

from typing import Literal

from pydantic import Field, model_validator

from distilleak.settings.base import Settings


class GateSettings(Settings):
    """When a split is no longer honest: the gate closes only if both limits are exceeded."""

    max_auc: float = Field(default=0.55, ge=0.5, le=1.0)
    """Largest AUC of a classifier that never sees a model. Below it, whatever separates the pools
    is too weak to explain a membership attack, however significant it is in a large pool."""

    max_p: float = Field(default=0.001, gt=0.0, lt=1.0)
    """An AUC above `max_auc` counts only if the p-value of the permutation test is below this. In a
    small pool such an AUC can arise by chance, and an honest split must not fail by chance."""

    folds: int = Field(default=5, ge=2, le=1000)
    """Folds of the cross-validation. Each pool must hold at least two records per fold."""

    permutations: int = Field(default=2000, ge=1, le=10**6)
    """Label permutations of the test. The smallest p-value they can give is
    1 / (permutations + 1); it must be below `max_p`, or the gate could never close."""

    max_records: int = Field(default=4000, ge=4, le=10**6)
    """Records that the classifier uses, at most half of them from each pool; larger pools are
    sampled. Memory grows with the square of this number, time with its cube."""

    on_failure: Literal["stop", "report"] = "stop"
    """What a closed gate does. `stop` ends the study with an error that names what separates the
    pools. `report` records it and continues, for splits that the study does not draw itself, such
    as official membership labels."""

    @model_validator(mode="after")
    def _can_close(self) -> "GateSettings":
        if 1 / (self.permutations + 1) >= self.max_p:
            raise ValueError(
                f"permutations: {self.permutations} cannot give a p-value below max_p {self.max_p}"
            )
        if self.max_records < 4 * self.folds:
            raise ValueError(
                f"max_records: {self.max_records} leaves fewer than two records of each pool"
                f" in each of {self.folds} folds"
            )
        return self
