"""LoRA adapters of finished models, as peft saves them: what can be known without loading them.

Only safetensors are read, and nothing that an adapter's configuration names is followed: neither
its base on a hub nor a module that it would import.
"""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilleak.errors import DistilleakError
from distilleak.models import heads
from distilleak.models.heads import Head
from distilleak.settings.finished import ADAPTER

CONFIGURATION, WEIGHTS = ADAPTER
FIELDS = (
    "r",
    "lora_alpha",
    "target_modules",
    "exclude_modules",
    "fan_in_fan_out",
    "bias",
    "use_rslora",
    "use_dora",
    "lora_bias",
    "modules_to_save",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
)
"""Fields of an adapter's configuration that decide what it is merged into."""
_OF_TRAINING = (
    "peft_type",
    "task_type",
    "auto_mapping",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "peft_version",
    "lora_dropout",
    "init_lora_weights",
    "megatron_core",
    "qalora_group_size",
    "runtime_config",
    "eva_config",
    "loftq_config",
    "ensure_weight_tying",
)
"""Fields that say where an adapter comes from or how it was trained, and change nothing now."""
_HARMLESS = (True, False, None, "gaussian", "orthogonal", "eva")
"""How matrices may have begun. All other ways begin by changing the weights of the base, too."""
_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True)
class Adapter:
    """An adapter's directory.

    Attributes:
        directory: where it lies, as messages call it.
        config: the fields of its configuration that are among `FIELDS`.
        shapes: name -> shape of each of its weights.
    """

    directory: str
    config: Mapping[str, Any]
    shapes: Mapping[str, list[int]]


def lies_in(directory: str | Path) -> bool:
    """Whether an adapter lies in a directory, and no model."""
    place = Path(directory)
    return (place / CONFIGURATION).is_file() and not (place / "config.json").is_file()


def check_library(shown: str) -> None:
    """Check that peft is installed.

    Raises:
        DistilleakError: it is not; says how to install it.
    """
    if importlib.util.find_spec("peft") is None:
        raise DistilleakError(
            f"{shown}: reading an adapter needs the package peft: pip install '.[lora]'"
        )


def read(directory: str | Path) -> Adapter:
    """The adapter in a directory.

    Raises:
        DistilleakError: there is none, or one that cannot be merged into its base: of another type
            than LoRA, with weights in a pickle file, with parts that change more than weights.
    """
    place = Path(directory)
    file = place / CONFIGURATION
    if not file.is_file():
        missing = f"{CONFIGURATION} is missing" if place.is_dir() else "no such directory"
        raise DistilleakError(f"{directory}: no adapter here ({missing})")
    heads.refuse_pointer(file)
    config = _config(file)
    weights = place / WEIGHTS
    if not weights.is_file():
        raise DistilleakError(
            f"{directory}: no {WEIGHTS}; weights in pickle files (adapter_model.bin) are not read"
        )
    heads.refuse_pointer(weights)
    return Adapter(str(directory), config, heads.shapes(weights))


def check_fit(adapter: Adapter, base: Head, weights: Mapping[str, list[int]]) -> None:
    """Check that an adapter is one for this base, as far as names and shapes tell.

    Args:
        adapter: what is merged.
        base: the head of what it is merged into.
        weights: name -> shape of each weight of the base, not quantised.

    Raises:
        DistilleakError: names a weight that does not fit.
    """
    for name, down in adapter.shapes.items():
        if not name.endswith(_DOWN):
            continue
        module = name.removeprefix(_PREFIX).removesuffix(_DOWN)
        number = heads.block(f"{module}.")
        if number is not None and base.layers is not None and number >= base.layers:
            raise unfit(
                adapter.directory,
                base.directory,
                f"{name} is for block {number + 1} of {base.layers}",
            )
        up = adapter.shapes.get(name.removesuffix(_DOWN) + _UP, [])
        # The file of a base may lack the name of the part that all others lie in.
        wanted = next(
            (
                shape
                for weight, shape in weights.items()
                if f".{module}.weight".endswith(f".{weight}")
            ),
            None,
        )
        # Some families keep their matrices the other way round.
        if wanted is not None and sorted(wanted) != sorted([*up[:1], *down[-1:]]):
            raise unfit(
                adapter.directory,
                base.directory,
                f"{name} is for a weight of the shape {[*up[:1], *down[-1:]]}, but that of the "
                f"base is {wanted}",
            )


def alone(directory: str) -> DistilleakError:
    """The error of an adapter that is given as if it were a model."""
    return DistilleakError(
        f"{directory}: an adapter, not a model; name the model that it changes, too: "
        f"{{directory: {directory}, adapts: {{directory: ...}}}}"
    )


def unfit(adapter: str, base: str, reason: str) -> DistilleakError:
    """The error of an adapter for another base."""
    return DistilleakError(f"{adapter}: no adapter for {base}: {reason}")


def _config(file: Path) -> dict[str, Any]:
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DistilleakError(f"{file}: damaged (not JSON)") from error
    if not isinstance(given, dict):
        raise DistilleakError(f"{file}: damaged (not a mapping)")
    kind = given.get("peft_type")
    if kind != "LORA":
        raise DistilleakError(
            f"{file}: peft_type is {_short(kind)}; only LORA is read; merge others into the "
            "weights (peft: merge_and_unload)"
        )
    for key, value in given.items():
        if key not in (*FIELDS, *_OF_TRAINING) and value not in (None, False, {}, []):
            raise DistilleakError(
                f"{file}: {_short(key)} is {_short(value)}, which is not read; merge the adapter "
                "into the weights (peft: merge_and_unload)"
            )
    if (start := given.get("init_lora_weights", True)) not in _HARMLESS:
        raise DistilleakError(
            f"{file}: init_lora_weights is {_short(start)}, which changes the weights of the base, "
            "too; merge the adapter into the weights (peft: merge_and_unload)"
        )
    return {key: given[key] for key in FIELDS if given.get(key) is not None}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
