"""How a model is trained."""

from typing import Literal

from pydantic import Field

from distilleak.settings.base import Settings


class TrainingSettings(Settings):
    """AdamW with linear warm-up and cosine decay; one record a row, batches drawn without
    replacement in every epoch."""

    epochs: int = Field(ge=1)
    """Passes over the model's own records."""
    batch_size: int = Field(default=16, ge=1)
    """Records per update."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the updates in which the learning rate rises from zero."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay, on matrices only."""
    clip: float = Field(default=1.0, gt=0)
    """Largest gradient norm; without it a student without norms diverges."""


class StudentTrainingSettings(TrainingSettings):
    """As for every model, and what a method that trains on fewer records does with its budget."""

    budget: Literal["epochs", "steps"] = "epochs"
    """`epochs`: each student makes the same passes over its own records. `steps`: each student
    makes as many updates as one that trains on all members."""
