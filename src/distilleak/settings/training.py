"""How a model is trained."""

from typing import Annotated, Literal

from pydantic import Field

from distilleak.settings.base import Settings

Epochs = Annotated[
    int,
    Field(
        ge=0,
        le=10**5,
        description="Passes over the model's own records; 0 leaves the model untrained.",
    ),
]
LearningRate = Annotated[float, Field(gt=0, le=100, description="Peak learning rate.")]


class PrivacySettings(Settings):
    """DP-SGD: (epsilon, delta)-differential privacy for the records that the model trains on.

    For a student, the guarantee covers what it learns from its records directly, not what its
    teacher reveals about them. A private teacher and public records leave nothing uncovered.
    """

    epsilon: float = Field(gt=0, le=1e6)
    """Privacy budget of the complete training, for adding or removing one record."""
    delta: float = Field(default=1e-5, gt=0, lt=1)
    """Probability that the guarantee fails; choose it far below one over the number of records."""
    record_clip: float = Field(default=1.0, gt=0, le=1e6)
    """Norm to which each record's gradient is clipped."""


class TrainingSettings(Settings):
    """AdamW with linear warm-up and cosine decay. Every row of a batch is one record; batches are
    drawn without replacement in each epoch."""

    epochs: Epochs
    batch_size: int = Field(default=16, ge=1, le=10**6)
    """Records per update."""
    learning_rate: LearningRate
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the updates during which the learning rate rises from zero."""
    weight_decay: float = Field(default=0.01, ge=0, le=1000)
    """Decoupled weight decay, on matrices only."""
    clip: float = Field(default=1.0, gt=0, le=1e6)
    """Norm to which gradients are clipped; a student without normalisation diverges without it."""
    mask_share: float = Field(default=0.15, gt=0, lt=1)
    """Masked models only: share of a record's tokens that is masked and predicted in an update;
    redrawn in every epoch."""
    privacy: PrivacySettings | None = None
    """Train with DP-SGD; batches are then drawn at random, with `batch_size` records on average."""


class StudentTrainingSettings(TrainingSettings):
    """As for any model, plus what a method that trains on fewer records does with its budget."""

    budget: Literal["epochs", "steps"] = "epochs"
    """`epochs`: each student makes the same number of passes over its own records. `steps`: each
    student makes as many updates as one that trains on all members."""


class EarlySettings(Settings):
    """A student that is an earlier state of another student's training."""

    of: str
    """The other student, which completes its training."""
    epoch: int = Field(ge=1, le=10**5)
    """The epoch of that student after which its state is taken."""


class HardwareSettings(Settings):
    """How the machine is used. None of these settings changes results beyond rounding, so no model
    is retrained when one of them changes. The only exception: dropout is drawn differently when
    micro_batch or gpus change."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products in training; weights are float32. `auto`: bfloat16 on a GPU that
    supports it, float32 on a CPU, where bfloat16 is many times slower."""
    micro_batch: int | None = Field(default=None, ge=1, le=10**6)
    """Records per forward pass; gradients are accumulated over the batch. Defaults to the complete
    batch. Halved automatically when a GPU runs out of memory."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more time."""
    compile: bool = False
    """Apply `torch.compile` to the blocks; worthwhile only for long training on a GPU."""
    gpus: int = Field(default=1, ge=1, le=1024)
    """Processes per training job; each has its own GPU if there are GPUs."""
    checkpoint_minutes: float = Field(default=10.0, gt=0, le=1e5)
    """Minutes between the checkpoints from which an interrupted training resumes."""
