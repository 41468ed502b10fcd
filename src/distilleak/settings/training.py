"""How a model is trained."""

from typing import Literal

from pydantic import Field

from distilleak.settings.base import Settings


class PrivacySettings(Settings):
    """DP-SGD: the training's records are protected by (epsilon, delta)-differential privacy.

    Of a student the guarantee covers what it reads of its records itself, not what its teacher
    tells of them; a private teacher and public records leave nothing uncovered.
    """

    epsilon: float = Field(gt=0)
    """Budget of the whole training, for adding or removing one record."""
    delta: float = Field(default=1e-5, gt=0, lt=1)
    """Probability with which the guarantee may fail; far below one over the number of records."""
    record_clip: float = Field(default=1.0, gt=0)
    """Largest norm of one record's gradient."""


class TrainingSettings(Settings):
    """AdamW with linear warm-up and cosine decay; one record a row, batches drawn without
    replacement in every epoch."""

    epochs: int = Field(ge=0)
    """Passes over the model's own records; 0 leaves the model as it starts."""
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
    mask_share: float = Field(default=0.15, gt=0, lt=1)
    """Masked models only: share of a record's tokens that is predicted in an update, drawn anew in
    every epoch."""
    privacy: PrivacySettings | None = None
    """Train with DP-SGD; batches are then drawn at random, of `batch_size` records on average."""


class StudentTrainingSettings(TrainingSettings):
    """As for every model, and what a method that trains on fewer records does with its budget."""

    budget: Literal["epochs", "steps"] = "epochs"
    """`epochs`: each student makes the same passes over its own records. `steps`: each student
    makes as many updates as one that trains on all members."""


class EarlySettings(Settings):
    """A student that is another one as it was before the end of its training."""

    of: str
    """The other student, which is trained to the end."""
    epoch: int = Field(ge=1)
    """After which of its epochs."""


class HardwareSettings(Settings):
    """How the machine is used. None of it changes what is computed beyond rounding, so no model is
    trained again when it changes; only dropout is drawn anew when micro_batch or gpus change."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products in training; weights are float32. `auto`: bfloat16 on a GPU that has it,
    float32 on a CPU, where bfloat16 is many times slower."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Records per forward pass; gradients are added up to a batch. Left out: the whole batch. It is
    halved by itself when a GPU's memory runs out."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, a third more time."""
    compile: bool = False
    """`torch.compile` of the blocks; pays on a GPU for long training only."""
    gpus: int = Field(default=1, ge=1)
    """Processes per training job, each with a GPU of its own where there are GPUs."""
    checkpoint_minutes: float = Field(default=10.0, gt=0)
    """Time between checkpoints from which an interrupted training goes on."""
