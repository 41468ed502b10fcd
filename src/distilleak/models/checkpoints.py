"""Reading pretrained models and their tokenizers: directories, hub ids, GGUF files.

Only safetensors and GGUF are read, and no code comes with a model.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from distilleak.errors import DistilleakError, refusal
from distilleak.guards.checksums import mending
from distilleak.models import heads
from distilleak.models.family_fields import SURGERED
from distilleak.models.family_table import FAMILIES
from distilleak.settings.architecture import CheckpointSettings, Kind

NEUTRAL: dict[str, object] = {
    "return_dict": True,
    "output_hidden_states": False,
    "output_attentions": False,
    "chunk_size_feed_forward": 0,
    "is_encoder_decoder": False,
    "problem_type": None,
}
"""Fields of a configuration that change the form of what a model returns or how it is computed, and
nothing that it says: every model of a study has these values."""
DROPPED = ("fusion_config", "distributed_config")
"""Fields with which the library would put other classes in the place of a model's parts, or save it
as one of many processes."""


class _Undrawn(TorchFunctionMode):
    """Inside the block nothing is drawn for weights without memory, whose values are read later.

    torch would go through decompositions of its operators for that, and import SymPy.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        weight = given.get("tensor")
        if func in _DRAWS and weight is not None and weight.is_meta:
            return weight
        return func(*args, **given)


_DRAWS = (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)
"""How torch's layers draw their first weights."""


class _UnreadableError(Exception):
    """Weights that cannot be read; its text is why."""


Reader = Callable[[Any, str, dict[str, Any], str, torch.dtype], tuple[PreTrainedModel, list[str]]]
"""What reads weights as `weights` does."""


def name(settings: CheckpointSettings) -> str:
    """How messages call the checkpoint."""
    revision = f"@{settings.revision}" if settings.revision else ""
    return f"{settings.directory or settings.hub or settings.gguf}{revision}"


def local_files(settings: object) -> list[str]:
    """The files on this machine that a model starts from; none for a shape or a hub id."""
    if not isinstance(settings, CheckpointSettings):
        return []
    if settings.gguf is not None:
        return [str(heads.gguf_file(settings.gguf))]
    if settings.directory is not None:
        place = heads.model_directory(settings.directory)
        return settings.model_copy(update={"directory": place}).local_files()
    return []


def load(settings: CheckpointSettings, quantised: Reader | None = None) -> PreTrainedModel:
    """The pretrained model in float32, on the CPU; with `init: random` its architecture only.

    Random weights are drawn from torch's current generator. Dropout is off, as in models of a given
    shape: its draws depend on how a batch is divided, which would make weights depend on the
    machine. What else a configuration may say of the form of outputs has the value in `NEUTRAL`.

    Args:
        settings: of the checkpoint.
        quantised: reads quantised weights in full precision; without it, none but those of GGUF
            files are read.

    Raises:
        DistilleakError: it is not there, not of a supported family, not in safetensors or GGUF,
            needs code of its own, or has weights that are quantised or not finite.
    """
    source, options = _source(settings, quantised=quantised is not None)
    shown = name(settings)
    _open_all(local_files(settings))
    config = _config(source, options, shown)
    auto = _auto_class(config, shown)
    _neutralise(config, shown)
    if settings.init == "random":
        try:
            return auto.from_config(_plain(config), dtype=torch.float32)  # type: ignore[no-any-return]
        except Exception as error:
            raise DistilleakError(
                f"{shown}: config.json does not describe a model ({_reason(error)})"
            ) from error
    reader: Reader = weights
    if getattr(config, "quantization_config", None) is not None and "gguf_file" not in options:
        if quantised is None:
            raise heads.quantised(shown)
        reader = quantised
    _check_generation(source, shown)
    try:
        model, unused = reader(auto, source, {**options, "config": config}, shown, torch.float32)
    except _UnreadableError as error:
        # The file is the user's: running again would not rebuild it.
        raise DistilleakError(f"{shown}: its weights cannot be read ({error})") from error
    # Others without a place are common there, such as those of a head for another task.
    block = next((weight for weight in unused if heads.block(weight) is not None), None)
    if block is not None:
        raise _misfit(shown, f"{block} has no place in it")
    check_finite(model, shown)
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
        model, unused = weights(auto, str(path), {}, str(path), dtype)
    except _UnreadableError as error:
        if refused := refusal(error):
            raise DistilleakError(f"{path}: cannot be read: {refused}") from error
        raise DistilleakError(f"{path}: damaged model ({error}); {mending(path)}") from error
    if unused:
        raise _misfit(str(path), f"{unused[0]} has no place in it")
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


def kind(settings: CheckpointSettings) -> Kind:
    """Whether the checkpoint predicts the next token or masked ones.

    Raises:
        DistilleakError: it is not there, or of no supported family.
    """
    source, options = _source(settings)
    config = _config(source, options, name(settings))
    _auto_class(config, name(settings))
    return FAMILIES[config.model_type.removeprefix(SURGERED)].kind


def _source(settings: CheckpointSettings, quantised: bool = False) -> tuple[str, dict[str, Any]]:
    """What `from_pretrained` is given."""
    if settings.directory is not None:
        place = heads.model_directory(settings.directory)
        head = heads.read(place)
        if settings.init == "checkpoint":
            heads.check_weights(head, quantised)
        return place, {"local_files_only": True}
    if settings.hub is not None:
        # The library would read the directory instead, whatever the revision.
        if Path(settings.hub).is_dir():
            raise DistilleakError(
                f"hub: {settings.hub}: a directory of this name lies here; rename it, or say "
                "`directory` if it is meant"
            )
        return settings.hub, {"revision": settings.revision or "main"}
    file = heads.gguf_file(str(settings.gguf))
    return str(file.parent), {"gguf_file": file.name, "local_files_only": True}


def _open_all(files: Sequence[str]) -> None:
    """Open each file once: the libraries call one that may not be read missing, or damaged."""
    for file in files:
        with open(file, "rb"):
            pass


def _config(source: str, options: dict[str, Any], shown: str) -> PreTrainedConfig:
    file = Path(source, "config.json")
    if file.is_file():
        heads.read_config(file, shown)
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **options)
    # A value of another type makes the library raise anything.
    except Exception as error:
        raise DistilleakError(f"{shown}: cannot be read as a model ({_reason(error)})") from error
    heads.refuse_kernels({"_attn_implementation": config._attn_implementation}, shown)
    return config  # type: ignore[no-any-return]


def _neutralise(config: PreTrainedConfig, shown: str) -> None:
    """Give a checkpoint's configuration the values that all models of a study have.

    Raises:
        DistilleakError: the model reads in the other direction, or RoBERTa has no padding token.
    """
    family = FAMILIES[config.model_type.removeprefix(SURGERED)]
    heads.refuse_other_direction(config.to_dict(), family.kind, shown)
    for field, value in (*dict.fromkeys(family.dropout, 0.0).items(), *NEUTRAL.items()):
        setattr(config, field, value)
    for field in DROPPED:
        if hasattr(config, field):
            delattr(config, field)
    if not _within(config.pad_token_id, config.vocab_size):
        # Padding is known by position; the embedding of its token is never read.
        if family.counted_from_padding:
            raise DistilleakError(
                f"{shown}: pad_token_id in config.json is {config.pad_token_id}, which the "
                f"vocabulary of {config.vocab_size} tokens does not hold, and positions are "
                "counted from it"
            )
        config.pad_token_id = None


def _check_generation(source: str, shown: str) -> None:
    """Check how a model generates, which is read with the weights and saved with them.

    Raises:
        DistilleakError: the library would refuse it, and blame the weights.
    """
    if not Path(source, "generation_config.json").is_file():
        return
    try:
        GenerationConfig.from_pretrained(source)
    except OSError:  # what is no JSON is not used
        return
    except Exception as error:
        raise DistilleakError(
            f"{shown}: generation_config.json is damaged ({_reason(error)}); delete it, the model "
            "is the same without it"
        ) from error


def _within(token: int | None, vocabulary: int) -> bool:
    return token is None or 0 <= token < vocabulary


def check_finite(model: PreTrainedModel, shown: str) -> None:
    """Check that all weights are finite.

    Raises:
        DistilleakError: names the first that is not.
    """
    for name, weight in model.state_dict().items():
        if weight.is_floating_point() and not weight.isfinite().all():
            kind = "NaN" if weight.isnan().any() else "infinite"
            raise DistilleakError(f"{shown}: {name} holds values that are {kind}")


def _auto_class(config: PreTrainedConfig, shown: str) -> Any:
    family = FAMILIES.get(config.model_type.removeprefix(SURGERED))
    if family is None:
        raise heads.unsupported(shown, config.model_type)
    return AutoModelForCausalLM if family.kind == "causal" else AutoModelForMaskedLM


def weights(
    auto: Any, source: str, options: dict[str, Any], shown: str, dtype: torch.dtype
) -> tuple[PreTrainedModel, list[str]]:
    """The model, and the weights of the files that have no place in it.

    Args:
        auto: the class of the library that reads it.
        source: a directory or a hub id.
        options: for `from_pretrained`.
        shown: how messages call it.
        dtype: of its parameters.

    Raises:
        DistilleakError: the weights do not fit the configuration, or are in pickle files.
    """
    if "gguf_file" not in options:
        options = {**options, "use_safetensors": True}
    try:
        with _Undrawn():
            model, report = auto.from_pretrained(
                source,
                dtype=dtype,
                trust_remote_code=False,
                output_loading_info=True,
                # Reported with its name below, instead of in a table in the log.
                ignore_mismatched_sizes=True,
                **options,
            )
    except MemoryError:  # says nothing about the files
        raise
    except Exception as error:
        reason = _reason(error)
        if "safetensors" in reason and "no file named" in reason:
            reason = "no model.safetensors; weights in pickle files are not read"
            raise DistilleakError(f"{shown}: {reason}") from error
        raise _UnreadableError(reason) from error
    for weight, given, wanted in sorted(report["mismatched_keys"]):
        raise _misfit(shown, f"{weight} has the shape {[*given]} instead of {[*wanted]}")
    for weight in sorted(report["missing_keys"]):
        raise _misfit(shown, f"{weight} is missing")
    return model, sorted(report["unexpected_keys"])


def _misfit(shown: str, reason: str) -> DistilleakError:
    return DistilleakError(f"{shown}: the weights do not fit the configuration: {reason}")


def _plain(config: PreTrainedConfig) -> PreTrainedConfig:
    for entry in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(config, entry):
            delattr(config, entry)
    return config


def _reason(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
