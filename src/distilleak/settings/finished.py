"""A model that is finished: it is queried as it is, and never trained."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from distilleak.settings.architecture import CheckpointSettings


class WeightsSettings(CheckpointSettings):
    """A model with its weights: exactly one of a directory, a hub id and a GGUF file."""

    init: Literal["checkpoint"] = "checkpoint"
    """Its weights are read; there is no other way."""


class FinishedSettings(WeightsSettings):
    """A finished model: exactly one of a directory, a hub id and a GGUF file.

    The directory may be that of a LoRA adapter; `adapts` is then the model that it changes.
    """

    adapts: WeightsSettings | None = Field(default=None)
    """The model that the adapter in `directory` changes. What the adapter itself calls its base is
    not followed."""

    @model_validator(mode="after")
    def _adapter_lies_here(self) -> "FinishedSettings":
        if self.adapts is not None and self.directory is None:
            raise ValueError("adapts needs a directory: that of the adapter")
        if self.adapts is not None and self.adapts.directory == self.directory:
            raise ValueError(
                "adapts is the directory of the adapter itself; the adapter and the model that it "
                "changes must lie in different ones"
            )
        return self

    @property
    def whole(self) -> WeightsSettings:
        """The model with an architecture and a tokenizer: the one that an adapter changes."""
        return self if self.adapts is None else self.adapts

    @property
    def tokenizer(self) -> CheckpointSettings:
        """What `copy_tokenizer` is given, which reads no weights for it."""
        whole = self.whole.model_dump(include={"directory", "hub", "revision", "gguf"})
        return CheckpointSettings(**whole, init="random")

    def local_files(self) -> list[str]:
        """The local files that it is read from: if they change, it is a different model."""
        own = super().local_files()
        if self.adapts is None:
            return own
        adapter = Path(str(self.directory))
        # Snapshots of the training lie beside an adapter and are not read.
        own = [str(file) for name in ADAPTER if (file := adapter / name).is_file()]
        return [*own, *self.adapts.local_files()]


ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
"""The files of a LoRA adapter that are read, as peft names them."""
