"""What a teacher or a student starts from: a shape, a checkpoint or layers of the teacher."""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from distilleak.settings.base import Settings

Kind = Literal["causal", "masked"]
CausalFamily = Literal["gpt2", "gpt_neox", "opt", "llama", "qwen2", "gemma"]
MaskedFamily = Literal["bert", "roberta", "distilbert", "albert", "mobilebert"]


LARGEST_OPTION = 10**9


def _option(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str | bool) and not (number and abs(value) <= LARGEST_OPTION):
        raise PydanticCustomError(
            "option",
            "should be text, true, false, or a number from -{largest} to {largest}",
            {"largest": LARGEST_OPTION},
        )
    return value


Option = Annotated[
    int | float | str | bool,
    BeforeValidator(_option),
    WithJsonSchema(
        {
            "type": ["number", "string", "boolean"],
            "minimum": -LARGEST_OPTION,
            "maximum": LARGEST_OPTION,
        }
    ),
]


class ArchitectureSettings(Settings):
    """A model with random weights and without dropout, built from its shape."""

    type: Literal[CausalFamily, MaskedFamily] = "gpt2"
    """Model family, by its Hugging Face name."""
    layers: int = Field(ge=1, le=1000)
    """Transformer blocks."""
    width: int = Field(ge=1, le=2**16)
    """Hidden size d."""
    heads: int = Field(ge=1, le=1024)
    """Attention heads; the width must be a multiple of their number."""
    positions: int = Field(ge=2, le=2**20)
    """Longest sequence in tokens: start token, prefix and record, plus the end token in a masked
    model."""
    options: dict[str, Option] = Field(default={})
    """Further fields of the family's Hugging Face configuration, such as `num_key_value_heads`."""

    @model_validator(mode="after")
    def _divides(self) -> "ArchitectureSettings":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self

    @property
    def kind(self) -> Kind:
        """Whether the family predicts the next token or masked tokens."""
        return "masked" if self.type in get_args(MaskedFamily) else "causal"


class CheckpointSettings(Settings):
    """A pretrained model: exactly one of a directory, a hub id and a GGUF file."""

    directory: str | None = Field(default=None, min_length=1)
    """A Hugging Face directory with safetensors; paths may be relative to the working directory.
    `package:path` is one inside an installed Python package."""
    hub: str | None = Field(default=None, min_length=1)
    """The id of a model on the Hugging Face hub."""
    revision: str | None = Field(default=None, min_length=1)
    """Commit, tag or branch of the hub id. A commit still gives the same model next year."""
    gguf: str | None = Field(default=None, min_length=1)
    """A GGUF file: a path, or `package:path` for a file inside an installed Python package."""
    init: Literal["checkpoint", "random"] = "checkpoint"
    """`checkpoint`: start from its weights. `random`: use only its architecture and tokenizer."""

    @model_validator(mode="after")
    def _one_source(self) -> "CheckpointSettings":
        given = [name for name in CHECKPOINTS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(CHECKPOINTS)}, not {given}")
        if self.revision is not None and self.hub is None:
            raise ValueError("revision needs a hub id")
        return self

    def local_files(self) -> list[str]:
        """The local files that it is read from: if they change, it is a different model."""
        if self.directory is not None:
            return sorted(str(file) for file in Path(self.directory).glob("*") if file.is_file())
        return [self.gguf] if self.gguf is not None and ":" not in self.gguf else []


class TeacherLayersSettings(Settings):
    """A copy of evenly spaced layers of the teacher, the way DistilBERT is initialised."""

    init: Literal["teacher_layers"]
    """Selects this initialisation."""
    layers: int = Field(ge=1, le=1000)
    """Layers of the student; its layer i is layer floor(i N / layers) of the teacher's N."""


class BaseStartSettings(Settings):
    """A base model: one of `bases`, or one of those that come with the package."""

    base: str = Field(min_length=1)
    """Its name."""
    init: Literal["checkpoint", "random"] = "checkpoint"
    """`checkpoint`: start from its weights. `random`: use only its architecture and tokenizer."""


CHECKPOINTS = ("directory", "hub", "gguf")


def _source(value: Any) -> str:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    if given.get("init") == "teacher_layers":
        return "[teacher_layers]"
    if "base" in given:
        return "[base]"
    return "[checkpoint]" if {*CHECKPOINTS} & {*given} else "[architecture]"


Architecture = Annotated[ArchitectureSettings, Tag("[architecture]")]
Checkpoint = Annotated[CheckpointSettings, Tag("[checkpoint]")]
TeacherLayers = Annotated[TeacherLayersSettings, Tag("[teacher_layers]")]
BaseStart = Annotated[BaseStartSettings, Tag("[base]")]
TAGS: dict[str, type[Settings]] = {
    "[architecture]": ArchitectureSettings,
    "[checkpoint]": CheckpointSettings,
    "[teacher_layers]": TeacherLayersSettings,
    "[base]": BaseStartSettings,
}
"""The tags that pydantic adds to an error's location to show which alternative was chosen."""
STARTS = {
    "[architecture]": "a shape",
    "[checkpoint]": "a pretrained model",
    "[teacher_layers]": "layers of the teacher",
    "[base]": "a base",
}
"""Tag -> what a model starts from, in words."""

ModelSettings = Annotated[Architecture | Checkpoint, Discriminator(_source)]
StudentSettings = Annotated[Architecture | Checkpoint | TeacherLayers, Discriminator(_source)]


GivenModelSettings = Annotated[Architecture | Checkpoint | BaseStart, Discriminator(_source)]
GivenStudentSettings = Annotated[
    Architecture | Checkpoint | TeacherLayers | BaseStart, Discriminator(_source)
]


class PairSettings(Settings):
    """A teacher and the student that is distilled from it, with bases in their directories."""

    teacher: ModelSettings
    student: StudentSettings
    reference: ModelSettings | None = None


class GivenPairSettings(Settings):
    """A teacher and the student that is distilled from it."""

    teacher: GivenModelSettings
    """The model that is trained on the private records."""
    student: GivenStudentSettings
    """What every student starts from."""
    reference: GivenModelSettings | None = None
    """What the attacker's reference models start from; by default, the same as the student."""
