"""Model families: building, reading and shortening a model, whatever its family.

What differs between families is in `family_table`.
"""

import copy
import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models import activations
from distilleak.models.family_fields import SURGERED
from distilleak.models.family_table import FAMILIES, Family
from distilleak.settings.architecture import ArchitectureSettings

activations.fuse()  # Here, since no model is built or read without this module.


def name(model: PreTrainedModel) -> str:
    """The name of a model's family, surgered or not.

    Raises:
        DistilleakError: it is of none that is supported; the message lists those that are.
    """
    found = str(model.config.model_type).removeprefix(SURGERED)
    if found in FAMILIES and isinstance(model, FAMILIES[found].model):
        return found
    raise DistilleakError(
        f"model type {model.config.model_type!r} is not supported; "
        f"supported are {', '.join(FAMILIES)} with a language-modelling head"
    )


def of(model: PreTrainedModel) -> Family:
    """What is special about a model's family.

    Raises:
        DistilleakError: it is of none that is supported.
    """
    return FAMILIES[name(model)]


def get(model: PreTrainedModel, ours: str) -> int:
    """What the configuration says of `layers`, `width`, `heads`, ...; see `family_fields`."""
    return int(getattr(model.config, of(model).field(ours)))


def blocks(model: PreTrainedModel) -> nn.ModuleList:
    """The transformer blocks (in ALBERT: the groups of shared layers)."""
    return model.get_submodule(of(model).blocks)  # type: ignore[return-value]


def width(model: PreTrainedModel) -> int:
    """The hidden size between blocks."""
    return get(model, "width")


def head_width(model: PreTrainedModel) -> int:
    """The size of what the last linear map, onto the vocabulary, reads."""
    return get(model, "head_width")


def positions(model: PreTrainedModel) -> int:
    """The longest sequence that the model can read."""
    return get(model, "positions") - _first_position(of(model), model.config)


def switch(model: PreTrainedModel) -> int | None:
    """The length above which a sequence is read with other frequencies; None without one.

    LongRoPE has two sets of frequencies (Ding et al. 2024, arXiv 2402.13753), and transformers
    chooses one for all rows of a batch, by the longest with its padding.
    """
    rope = getattr(model.config, "rope_parameters", None) or {}
    if rope.get("rope_type") != "longrope":
        return None
    return int(rope["original_max_position_embeddings"])


def logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """All that follows the final hidden states: (..., d) -> (..., vocabulary)."""
    return of(model).logits(model, hidden)


def final_states(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    visible: torch.Tensor | None,
    past: DynamicCache | None,
) -> torch.Tensor:
    """The final hidden states, (B, T, d).

    Args:
        model: of a supported family.
        input_ids: (B, T).
        visible: (B, T) bool, False on padding; None in a causal model, where padding follows.
        past: what a causal model has read before; what it reads now is added.
    """
    family = of(model)
    # Given, since RoBERTa would take them from the ids and count no token like its padding token.
    first = _first_position(family, model.config) + (0 if past is None else past.get_seq_length())
    given: dict[str, Any] = {
        "input_ids": input_ids,
        "position_ids": torch.arange(first, first + input_ids.shape[1], device=input_ids.device)[
            None
        ],
    }
    if past is not None:
        given |= {"past_key_values": past, "use_cache": True}
    if visible is not None:
        given["attention_mask"] = visible.long()
        if family.embeds_neighbours:
            # Zero, as beyond the end: else the last token would see what pads its row.
            embeddings = model.get_input_embeddings()(given.pop("input_ids"))
            given["inputs_embeds"] = embeddings * visible[..., None]
    output = model.base_model(**given)
    return output.last_hidden_state  # type: ignore[no-any-return]


def build(architecture: ArchitectureSettings, vocabulary: int, start: int) -> PreTrainedModel:
    """A model with random weights and no dropout, drawn from torch's current generator.

    Weights are drawn at GPT-2's scale, 0.02 at width 768, and in proportion to 1 / sqrt(width)
    elsewhere: at 0.02 a narrow model spends its first epochs on growing its weights. There is no
    padding token: its embedding would never be trained, and padding is known by position.

    Args:
        architecture: family and shape.
        vocabulary: number of tokens.
        start: token before a text, and after it where a model generates one.

    Raises:
        DistilleakError: the family's configuration does not know an option or refuses a value.
    """
    family = FAMILIES[architecture.type]
    shape = {
        "layers": architecture.layers,
        "width": architecture.width,
        "heads": architecture.heads,
        "positions": architecture.positions,
        "inner": 4 * architecture.width,
        "scale": 0.02 * (768 / architecture.width) ** 0.5,
        "head_width": architecture.width,
    }
    settings: dict[str, Any] = {
        "vocab_size": vocabulary,
        "bos_token_id": start,
        "eos_token_id": start,
        "pad_token_id": None,
        **dict.fromkeys(family.dropout, 0.0),
        **{family.field(ours): value for ours, value in shape.items()},
        **family.shape(architecture),
    }
    _check_options(architecture, family)
    with _refusal(architecture.type, *_OF_CONFIGURATION):
        config = family.config(**{**settings, **architecture.options})
    unused = _first_position(family, config)
    setattr(config, family.field("positions"), architecture.positions + unused)
    check_head_size(family, config)
    with _refusal(architecture.type, *_OF_BUILDING):
        model: PreTrainedModel = family.model(config)
    # What a family does not check when it is built shows when it reads something.
    # Without a padding token RoBERTa cannot count positions; `making.make` gives it one.
    if architecture.type != "roberta" or config.pad_token_id is not None:
        with _refusal(architecture.type, *_OF_READING), torch.no_grad():
            model(input_ids=torch.tensor([[start, start]]))
    return model


_OF_CONFIGURATION = (StrictDataclassError, AttributeError)
"""What a configuration raises: a value of another type, no attribute of torch of this name."""
_OF_BUILDING = (ValueError, KeyError, RuntimeError, ZeroDivisionError, AssertionError)
"""What a model raises when it is built: unknown names, impossible sizes and rates, a padding token
outside the vocabulary."""
_OF_READING = (
    ValueError,
    TypeError,
    RuntimeError,
    AttributeError,
    ZeroDivisionError,
    IndexError,
)
"""What a model raises when it reads: sizes that do not fit each other, outputs of another form."""


@contextmanager
def _refusal(family: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn exceptions of these kinds into one line: they come from a value in `options`."""
    try:
        yield
    except kinds as error:
        reason = " ".join(str(error).split())
        raise DistilleakError(f"options: {family} refuses them ({reason})") from error


def check_head_size(family: Family, config: PreTrainedConfig) -> None:
    """Refuse attention heads of a size with which a family's blocks cannot work.

    Raises:
        DistilleakError: names the size, and what would work.
    """
    called = config.model_type.removeprefix(SURGERED)
    width, heads = (getattr(config, family.field(ours)) for ours in ("width", "heads"))
    width = getattr(config, "true_hidden_size", width)
    if width % heads:
        raise DistilleakError(
            f"{called}: a width of {width} inside the blocks is not a multiple of "
            f"{heads} attention heads"
        )
    if not family.rotary:
        return
    size = getattr(config, "head_dim", None) or width // heads
    least = max(2, math.ceil(1 / config.rope_parameters.get("partial_rotary_factor", 1.0)))
    if size % 2 or size < least:
        raise DistilleakError(
            f"{called}: attention heads of size {size}; positions rotate pairs of "
            f"their dimensions, which needs an even size of at least {least}"
        )


def copy_layers(teacher: PreTrainedModel, layers: int) -> PreTrainedModel:
    """A new model with `layers` of the teacher's N layers and all of its other weights.

    Layer number floor(i N / layers) becomes number i: with half of them every second one, as
    DistilBERT starts (Sanh et al. 2019). In ALBERT, whose layers share weights, only their number
    changes. What is tied in the teacher is tied in the copy.

    Raises:
        DistilleakError: the teacher has fewer layers.
    """
    family, there = of(teacher), get(teacher, "layers")
    if layers > there:
        raise DistilleakError(f"layers: {layers} to be copied, but the teacher has {there}")
    taken = [i * there // layers for i in range(layers)]
    config = copy.deepcopy(teacher.config)
    setattr(config, family.field("layers"), layers)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[number] for number in taken]
    student = type(teacher)(config)
    state = teacher.state_dict()

    def source(key: str) -> str:
        inside = key.removeprefix(f"{family.blocks}.")
        if inside == key or family.shared_layers:
            return key
        number, _, rest = inside.partition(".")
        return f"{family.blocks}.{taken[int(number)]}.{rest}"

    student.load_state_dict({key: state[source(key)] for key in student.state_dict()})
    return like(student, teacher)


def like(made: PreTrainedModel, original: PreTrainedModel) -> PreTrainedModel:
    """`made` with the device, type of numbers, mode and way of generating of `original`."""
    if made.can_generate():
        made.generation_config = copy.deepcopy(original.generation_config)
    module: nn.Module = made
    module.to(device=original.device, dtype=original.dtype)
    module.train(original.training)
    return made


def _first_position(family: Family, config: PreTrainedConfig) -> int:
    if not family.counted_from_padding or config.pad_token_id is None:
        return 0
    return int(config.pad_token_id) + 1


def _check_options(architecture: ArchitectureSettings, family: Family) -> None:
    known = {entry.name for entry in dataclasses.fields(family.config)}
    shape = {family.field(ours): ours for ours in ("layers", "width", "heads", "positions")}
    for name in architecture.options:
        original = family.config.attribute_map.get(name, name)
        if original in shape:
            raise DistilleakError(f"options.{name}: say it as {shape[original]!r}")
        if original == "vocab_size":
            raise DistilleakError(f"options.{name}: the tokenizer says it")
        if original not in known:
            raise DistilleakError(
                f"options.{name}: not a field of {family.config.__name__}, the configuration of "
                f"{architecture.type}"
            )
