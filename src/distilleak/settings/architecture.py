"""What a teacher or a student starts from: a shape, a checkpoint, or the teacher's own layers."""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from distilleak.settings.base import Settings

Kind = Literal["causal", "masked"]
CausalFamily = Literal["gpt2", "gpt_neox", "opt", "llama", "qwen2", "gemma"]
MaskedFamily = Literal["bert", "roberta", "distilbert", "albert", "mobilebert"]


class ArchitectureSettings(Settings):
    """A model with random weights and without dropout, built from its shape."""

    type: Literal[CausalFamily, MaskedFamily] = "gpt2"
    """Model family, by the name that Hugging Face gives it."""
    layers: int = Field(ge=1)
    """Transformer blocks."""
    width: int = Field(ge=1)
    """Hidden size d."""
    heads: int = Field(ge=1)
    """Attention heads; they divide the width."""
    positions: int = Field(ge=2)
    """Longest sequence: the start token, prefix and record, and in a masked model the end token."""
    options: dict[str, int | float | str | bool] = Field(default={})
    """Further fields of the family's Hugging Face configuration, such as `num_key_value_heads`."""

    @model_validator(mode="after")
    def _divides(self) -> "ArchitectureSettings":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self

    @property
    def kind(self) -> Kind:
        """Whether the family predicts the next token or masked ones."""
        return "masked" if self.type in get_args(MaskedFamily) else "causal"


class CheckpointSettings(Settings):
    """A pretrained model: exactly one of a directory, a hub id and a GGUF file."""

    directory: str | None = Field(default=None, min_length=1)
    """A Hugging Face directory with safetensors; relative paths start at the working directory."""
    hub: str | None = Field(default=None, min_length=1)
    """The id of a model on the Hugging Face hub."""
    revision: str | None = Field(default=None, min_length=1)
    """Commit, tag or branch of the hub id. A commit gives the same model next year."""
    gguf: str | None = Field(default=None, min_length=1)
    """A GGUF file: a path, or `package:path` for a file inside an installed Python package."""
    init: Literal["checkpoint", "random"] = "checkpoint"
    """`checkpoint`: its weights. `random`: its architecture and tokenizer only."""

    @model_validator(mode="after")
    def _one_source(self) -> "CheckpointSettings":
        given = [name for name in CHECKPOINTS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(CHECKPOINTS)}, not {given}")
        if self.revision is not None and self.hub is None:
            raise ValueError("revision belongs to a hub id")
        return self

    def local_files(self) -> list[str]:
        """The files on this machine that it is read from: a change of theirs is another model."""
        if self.directory is not None:
            return sorted(str(file) for file in Path(self.directory).glob("*") if file.is_file())
        return [self.gguf] if self.gguf is not None and ":" not in self.gguf else []


class TeacherLayersSettings(Settings):
    """The teacher with fewer layers, evenly spaced ones copied, as DistilBERT starts."""

    init: Literal["teacher_layers"]
    """Chooses this start."""
    layers: int = Field(ge=1)
    """Layers of the student: of N teacher layers, number floor(i N / layers) becomes number i."""


CHECKPOINTS = ("directory", "hub", "gguf")


def _source(value: Any) -> str:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    if given.get("init") == "teacher_layers":
        return "[teacher_layers]"
    return "[checkpoint]" if {*CHECKPOINTS} & {*given} else "[architecture]"


Architecture = Annotated[ArchitectureSettings, Tag("[architecture]")]
Checkpoint = Annotated[CheckpointSettings, Tag("[checkpoint]")]
TeacherLayers = Annotated[TeacherLayersSettings, Tag("[teacher_layers]")]
TAGS: dict[str, type[Settings]] = {
    "[architecture]": ArchitectureSettings,
    "[checkpoint]": CheckpointSettings,
    "[teacher_layers]": TeacherLayersSettings,
}
"""What pydantic puts into the place of an error to say which of them was meant."""

ModelSettings = Annotated[Architecture | Checkpoint, Discriminator(_source)]
StudentSettings = Annotated[Architecture | Checkpoint | TeacherLayers, Discriminator(_source)]


class PairSettings(Settings):
    """A teacher and the student that is distilled from it."""

    teacher: ModelSettings
    """The model that is trained on the private records."""
    student: StudentSettings
    """What every student starts from."""
    reference: ModelSettings | None = None
    """What the attacker's reference models start from; left out, what the student does."""
