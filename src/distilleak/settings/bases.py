"""Base models: what pairs start from, trained by the study on public texts of their own."""

from typing import Any

from pydantic import Field, field_validator

from distilleak.settings.architecture import ModelSettings
from distilleak.settings.base import Settings
from distilleak.settings.training import Epochs, LearningRate, PrivacySettings, TrainingSettings


class BaseTrainingSettings(TrainingSettings):
    """As for any model; a row of a batch holds several passages instead of one record."""

    epochs: Epochs = 5
    learning_rate: LearningRate = 0.002
    row: int = Field(default=256, ge=8, le=2**20)
    """Tokens of a row, into which whole passages are packed; only longer ones are divided."""
    holdout: int = Field(default=500, ge=1, le=10**6)
    """Passages of its texts that the base does not learn from and is measured on."""

    @field_validator("privacy")
    @classmethod
    def _public(cls, given: PrivacySettings | None) -> PrivacySettings | None:
        if given is not None:
            raise ValueError("the texts of a base are public, so there is nothing to protect")
        return given


class BaseSettings(Settings):
    """A public model that a pair starts from, trained on texts that are kept apart from all
    records of the study."""

    model: ModelSettings
    """Its shape, or a pretrained model that it goes on from."""
    corpus: dict[str, Any]
    """The texts that it learns from: as `corpus`, with conditions under `only`. Bases with the same
    texts share a tokenizer, which is trained on all of them."""
    training: BaseTrainingSettings = BaseTrainingSettings()
    """How it is trained."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seed of its starting weights and of the order of its texts; it is the same base for all seeds
    of the study."""
