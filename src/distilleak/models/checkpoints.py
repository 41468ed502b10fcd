"""Reading pretrained models and their tokenizers: directories, hub ids, GGUF files.

Only safetensors and GGUF are read, and no code comes with a model.
"""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)

from distilleak.errors import DistilleakError, refusal
from distilleak.guards.checksums import mending
from distilleak.models.family_table import FAMILIES
from distilleak.settings.architecture import CausalFamily, CheckpointSettings, MaskedFamily

PREFIX = "distilleak_"
"""Of the model type of a student whose architecture was changed; see `surgery.base`."""
_UNREADABLE = (
    SafetensorError,
    StrictDataclassError,
    OSError,
    ValueError,
    RuntimeError,
    ImportError,
    KeyError,
)
"""What loading raises: missing or damaged files, unknown types, no network."""


ADAPTERS = ("adapter_config.json", "adapter_model.*", "adapters.*")
"""Files beside a model's weights that change it: those of peft, and of MLX."""


class _UnreadableError(Exception):
    """Weights that cannot be read; its text is why."""


def name(settings: CheckpointSettings) -> str:
    """How messages call the checkpoint."""
    revision = f"@{settings.revision}" if settings.revision else ""
    return f"{settings.directory or settings.hub or settings.gguf}{revision}"


def local_files(settings: object) -> list[str]:
    """The files on this machine that a model starts from; none for a shape or a hub id."""
    if not isinstance(settings, CheckpointSettings):
        return []
    if settings.gguf is not None:
        return [str(gguf_file(settings.gguf))]
    return settings.local_files()


def load(settings: CheckpointSettings) -> PreTrainedModel:
    """The pretrained model in float32, on the CPU; with `init: random` its architecture only.

    Random weights are drawn from torch's current generator. Dropout is off, as in models of a given
    shape: its draws depend on how a batch is divided, which would make weights depend on the
    machine.

    Raises:
        DistilleakError: it is not there, not of a supported family, not in safetensors or GGUF, or
            needs code of its own.
    """
    source, options = _source(settings)
    _open_all(local_files(settings))
    config = _config(source, options, name(settings))
    auto = _auto_class(config, name(settings))
    for field in FAMILIES[config.model_type.removeprefix(PREFIX)].dropout:
        setattr(config, field, 0.0)
    if settings.gguf is None:
        options = {**options, "config": config}
    if settings.init == "random":
        return auto.from_config(_plain(config))  # type: ignore[no-any-return]
    # Weights without a place are common there, such as those of a head for another task.
    try:
        model, _ = _weights(auto, source, options, name(settings), torch.float32)
    except _UnreadableError as error:
        # The file is the user's: running again would not rebuild it.
        shown = name(settings)
        raise DistilleakError(f"{shown}: its weights cannot be read ({error})") from error
    # What a GGUF file was quantised with is no longer true of the float32 weights.
    model.config = _plain(model.config)
    for attribute, value in (("hf_quantizer", None), ("is_quantized", False)):
        if hasattr(model, attribute):
            setattr(model, attribute, value)
    return model


def read(path: str | Path, dtype: torch.dtype) -> PreTrainedModel:
    """Read a directory that `making.save` wrote.

    Raises:
        DistilleakError: the weights are damaged or do not fit the configuration.
    """
    config = _config(str(path), {}, str(path))
    auto = _auto_class(config, str(path))
    try:
        model, unused = _weights(auto, str(path), {}, str(path), dtype)
    except _UnreadableError as error:
        if refused := refusal(error):
            raise DistilleakError(f"{path}: cannot be read: {refused}") from error
        raise DistilleakError(f"{path}: damaged model ({error}); {mending(path)}") from error
    if unused:
        raise _misfit(str(path), unused)
    return model


def tokenizer(settings: CheckpointSettings) -> Any:
    """The checkpoint's tokenizer, a fast one.

    Raises:
        DistilleakError: there is none, or only one in Python.
    """
    source, options = _source(settings)
    _open_all(local_files(settings))
    try:
        found = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    # A tokenizer file of another version makes the library raise anything, a bare Exception too.
    except Exception as error:
        raise DistilleakError(f"{name(settings)}: no tokenizer ({_reason(error)})") from error
    if not found.is_fast:
        raise DistilleakError(f"{name(settings)}: has no tokenizer.json; only fast tokenizers work")
    return found


def _source(settings: CheckpointSettings) -> tuple[str, dict[str, Any]]:
    """What `from_pretrained` is given."""
    if settings.directory is not None:
        if not Path(settings.directory, "config.json").is_file():
            raise DistilleakError(f"{settings.directory}: no model here (config.json is missing)")
        _refuse_adapters(Path(settings.directory))
        return settings.directory, {"local_files_only": True}
    if settings.hub is not None:
        # The library would read the directory instead, whatever the revision.
        if Path(settings.hub).is_dir():
            raise DistilleakError(
                f"hub: {settings.hub}: a directory of this name lies here; rename it, or say "
                "`directory` if it is meant"
            )
        return settings.hub, {"revision": settings.revision or "main"}
    file = gguf_file(str(settings.gguf))
    return str(file.parent), {"gguf_file": file.name, "local_files_only": True}


def _refuse_adapters(directory: Path) -> None:
    """Refuse what would change the model and is not read: the study would be of another model."""
    found = (file for pattern in ADAPTERS for file in directory.glob(pattern))
    file = next(iter(sorted(found)), None)
    if file is not None:
        raise DistilleakError(
            f"{file}: adapters are not read, and without them this is another model; merge them "
            "into the weights (peft: merge_and_unload), or move the file away to study the model "
            "without them"
        )


def _open_all(files: Sequence[str]) -> None:
    """Open each file once: the libraries call one that may not be read missing, or damaged."""
    for file in files:
        with open(file, "rb"):
            pass


def gguf_file(given: str) -> Path:
    """The GGUF file that a configuration names: a path, or `package:path`.

    Raises:
        DistilleakError: the package or the file is not there, or the package lies in another one.
    """
    package, colon, inside = given.partition(":")
    if not colon:
        file = Path(given)
    else:
        # Finding what lies below a package would run the package.
        if not package.isidentifier():
            raise DistilleakError(f"{given}: {package!r} is not the name of a top-level package")
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise DistilleakError(f"{given}: the Python package {package!r} is not installed")
        file = Path(found.submodule_search_locations[0], inside)
    if not file.is_file():
        raise DistilleakError(f"{given}: no such file")
    return file


def _config(source: str, options: dict[str, Any], shown: str) -> PreTrainedConfig:
    file = Path(source, "config.json")
    if file.is_file():
        _refuse_code(file, shown)
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **options)
    except _UNREADABLE as error:
        raise DistilleakError(f"{shown}: cannot be read as a model ({_reason(error)})") from error
    return config  # type: ignore[no-any-return]


def _refuse_code(file: Path, shown: str) -> None:
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DistilleakError(f"{shown}: damaged model (config.json is not JSON)") from error
    if not isinstance(given, dict) or "model_type" not in given:
        raise DistilleakError(f"{shown}: damaged model (config.json has no model_type)")
    if "auto_map" in given:
        raise DistilleakError(
            f"{shown}: needs Python code of its own, which is never run; use a model of "
            f"{_supported()}"
        )


def _auto_class(config: PreTrainedConfig, shown: str) -> Any:
    family = config.model_type.removeprefix(PREFIX)
    if family in get_args(CausalFamily):
        return AutoModelForCausalLM
    if family in get_args(MaskedFamily):
        return AutoModelForMaskedLM
    raise DistilleakError(
        f"{shown}: model type {config.model_type!r} is not supported; supported are {_supported()}"
    )


def _weights(
    auto: Any, source: str, options: dict[str, Any], shown: str, dtype: torch.dtype
) -> tuple[PreTrainedModel, list[str]]:
    """The model, and the weights of the files that have no place in it."""
    if "gguf_file" not in options:
        options = {**options, "use_safetensors": True}
    try:
        model, report = auto.from_pretrained(
            source, dtype=dtype, trust_remote_code=False, output_loading_info=True, **options
        )
    except _UNREADABLE as error:
        reason = _reason(error)
        if "safetensors" in reason and "no file named" in reason:
            reason = "no model.safetensors; weights in pickle files are not read"
            raise DistilleakError(f"{shown}: {reason}") from error
        raise _UnreadableError(reason) from error
    if report["missing_keys"] or report["mismatched_keys"]:
        raise _misfit(shown, [*report["missing_keys"], *report["mismatched_keys"]])
    return model, list(report["unexpected_keys"])


def _misfit(shown: str, names: Sequence[object]) -> DistilleakError:
    return DistilleakError(
        f"{shown}: the weights do not fit the configuration, first at {min(map(str, names))}"
    )


def _plain(config: PreTrainedConfig) -> PreTrainedConfig:
    for entry in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(config, entry):
            delattr(config, entry)
    return config


def _supported() -> str:
    return ", ".join([*get_args(CausalFamily), *get_args(MaskedFamily)])


def _reason(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
