"""Finished models of a user's, read where they lie: whole, quantised, or a LoRA adapter and a base.

They are read in float32 on the CPU, whatever their files hold, checked as models that a training
starts from are, and cast only then.
"""

import copy
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedConfig, PreTrainedModel

from distilleak.errors import DistilleakError, refusal
from distilleak.models import adapters, checkpoints, heads, making, quantisation
from distilleak.models.adapters import Adapter
from distilleak.records import tokenizer as tokenization
from distilleak.records import tokenizer_rules
from distilleak.settings.finished import ADAPTER, FinishedSettings


def name(settings: FinishedSettings) -> str:
    """How messages and files call the model."""
    own = checkpoints.name(settings)
    return own if settings.adapts is None else f"{own} on {checkpoints.name(settings.adapts)}"


def local_files(settings: FinishedSettings) -> list[str]:
    """The files on this machine that the model is read from."""
    if settings.adapts is None:
        return checkpoints.local_files(settings)
    place = heads.model_directory(str(settings.directory))
    own = settings.model_copy(update={"directory": place, "adapts": None}).local_files()
    read = [file for file in own if file.endswith(ADAPTER)]
    return [*read, *checkpoints.local_files(settings.adapts)]


def load(
    settings: FinishedSettings, tokenizer: str, device: str, dtype: torch.dtype
) -> PreTrainedModel:
    """The model with the vocabulary of its tokenizer, in evaluation mode.

    Args:
        settings: where it lies.
        tokenizer: directory of its tokenizer.
        device: that it is moved to.
        dtype: of its weights.

    Raises:
        DistilleakError: it cannot be read, its tokenizer is another one, or an adapter does not fit
            its base.
    """
    shown = name(settings)
    alone = settings.directory if settings.adapts is None else None
    if alone is not None and adapters.lies_in(heads.model_directory(alone)):
        raise adapters.alone(alone)
    # What is wrong with an adapter shows sooner than what is wrong with its base.
    adapter = None if settings.adapts is None else _adapter(settings)
    whole = settings.whole
    _check_tokenizer(settings, tokenizer)
    model = checkpoints.load(whole, quantised=_quantised)
    if adapter is not None:
        model = _merged(model, adapter, checkpoints.name(whole))
        checkpoints.check_finite(model, shown)
    model = making.fit(model, tokenizer, shown)
    return _cast(model, dtype).to(device).eval()  # type: ignore[no-any-return,arg-type]


def _check_tokenizer(settings: FinishedSettings, path: str) -> None:
    """Compare the tokenizer with the model's own: with another one, numbers would mean nothing."""
    own = checkpoints.tokenizer(settings.tokenizer).backend_tokenizer
    given = tokenization.load(path)
    if tokenizer_rules.rules(own.to_str()) != tokenizer_rules.rules(given.to_str()):
        raise DistilleakError(
            f"{path}: not the tokenizer of {checkpoints.name(settings.whole)}, which cuts texts "
            "into other tokens"
        )


def _quantised(
    auto: Any, source: str, options: dict[str, Any], shown: str, dtype: torch.dtype
) -> tuple[PreTrainedModel, list[str]]:
    """Read quantised weights in full precision; arguments and errors as in `checkpoints.weights`.

    Raises:
        DistilleakError: they are quantised in a way that cannot be read here.
    """
    config: PreTrainedConfig = options["config"]
    given = config.quantization_config
    given = dict(given if isinstance(given, dict) else given.to_dict())
    quantisation.check({"quantization_config": given}, shown)
    # Some methods do it while they read; their own kernels would have to be fetched, or need a GPU.
    if given.get("quant_method") != "bitsandbytes":
        given["dequantize"] = True
    config.quantization_config = given
    model, unused = checkpoints.weights(auto, source, options, shown, dtype)
    if getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False):
        model = model.dequantize(dtype)  # type: ignore[no-untyped-call]
    model = model.to(dtype)  # type: ignore[arg-type]
    _check_restored(model, shown)
    return model, unused


def _check_restored(model: PreTrainedModel, shown: str) -> None:
    """Check that each weight has the name and the shape that it has in full precision."""
    plain = copy.deepcopy(model.config)
    if hasattr(plain, "quantization_config"):
        del plain.quantization_config
    with torch.device("meta"):
        wanted = type(model)(plain).state_dict()
    found = model.state_dict()
    for weight in sorted({*wanted} | {*found}):
        if (
            weight not in found
            or weight not in wanted
            or found[weight].shape != wanted[weight].shape
        ):
            raise DistilleakError(
                f"{shown}: quantization_config in config.json: {weight} cannot be read back into "
                "full precision"
            )


def _adapter(settings: FinishedSettings) -> Adapter:
    adapters.check_library(str(settings.directory))
    return adapters.read(heads.model_directory(str(settings.directory)))


def _merged(base: PreTrainedModel, adapter: Adapter, shown: str) -> PreTrainedModel:
    """The base with the adapter merged into its weights (Hu et al. 2022, arXiv 2106.09685).

    Each weight W becomes W + (alpha / r) B A, with the other forms that peft has of it.

    Raises:
        DistilleakError: the adapter is for another base, or holds values that are not finite.
    """
    peft = _peft()
    file = Path(adapter.directory, adapters.WEIGHTS)
    weights = load_file(file)
    for name, weight in weights.items():
        if not weight.isfinite().all():
            raise DistilleakError(f"{file}: {name} holds values that are not finite")
    tied = _untie(base)
    try:
        # How its matrices begin does not matter: all of them are replaced.
        changed = peft.get_peft_model(base, peft.LoraConfig(**adapter.config))
    # A value that does not fit the base makes the library raise anything.
    except Exception as error:
        if refused := refusal(error):
            raise DistilleakError(f"{adapter.directory}: {refused}") from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise adapters.unfit(adapter.directory, shown, reason) from error
    _fill(changed, weights, adapter, shown)
    merged: PreTrainedModel = changed.merge_and_unload()
    if tied:
        _tie(merged)
    return merged


def _peft() -> Any:
    """The library, which is optional; `adapters.check_library` has found it."""
    return importlib.import_module("peft")


def _fill(changed: Any, weights: Mapping[str, torch.Tensor], adapter: Adapter, shown: str) -> None:
    """Put the adapter's weights into the places that were made for them."""
    peft = _peft()
    places = peft.get_peft_model_state_dict(changed, save_embedding_layers=False)
    for name, place in sorted(places.items()):
        if name not in weights:
            raise adapters.unfit(adapter.directory, shown, f"{name} is missing")
        if weights[name].shape != place.shape:
            reason = f"{name} has the shape {[*weights[name].shape]} instead of {[*place.shape]}"
            raise adapters.unfit(adapter.directory, shown, reason)
    # Beside an adapter of the embeddings peft saves the embeddings themselves.
    state = changed.state_dict()
    for name in sorted(weights.keys() - places.keys()):
        if name not in state or not torch.equal(state[name], weights[name].to(state[name].dtype)):
            raise adapters.unfit(
                adapter.directory, shown, f"{name} has no place in it, or another value there"
            )
    peft.set_peft_model_state_dict(changed, {name: weights[name] for name in places})


def _untie(model: PreTrainedModel) -> bool:
    """Give the head a matrix of its own: an adapter of the head must not change the embeddings.

    Returns:
        Whether it had none.
    """
    head, embeddings = _ends(model)
    if head is None or head.weight is not embeddings.weight:
        return False
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    return True


def _tie(model: PreTrainedModel) -> None:
    """Let head and embeddings share one matrix again, unless the adapter has changed either."""
    head, embeddings = _ends(model)
    if torch.equal(head.weight, embeddings.weight):
        head.weight = embeddings.weight


def _ends(model: PreTrainedModel) -> tuple[Any, Any]:
    """The head, if there is one, and the embeddings."""
    return model.get_output_embeddings(), model.get_input_embeddings()  # type: ignore[no-untyped-call]


def _cast(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The model with its weights in `dtype`, as the library reads them.

    What is worked out when a model is built, such as the frequencies of rotary positions, stays as
    exact as it is.
    """
    for tensor in model.state_dict(keep_vars=True).values():
        if tensor.is_floating_point():
            # Of a tied one the second name finds it done.
            tensor.data = tensor.data.to(dtype)
    return model
