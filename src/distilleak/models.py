"""Building, loading and saving language models; safetensors only, nothing from a network."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedModel
from transformers.utils import logging as transformers_logging

from distilleak import seeding
from distilleak.errors import DistilleakError
from distilleak.files import atomic
from distilleak.settings.architecture import ArchitectureSettings
from distilleak.surgery.base import Changes, operate
from distilleak.tokenization import copy_tokenizer


def prepare(threads: int) -> str:
    """Set up torch for one job and return its device: deterministic, `threads` CPU threads."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS refuses to run
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return "cuda" if torch.cuda.is_available() else "cpu"


def build(
    architecture: ArchitectureSettings, vocabulary: int, start: int, seed: int
) -> PreTrainedModel:
    """A model with random weights, a pure function of its arguments; `start` is the start token.

    Weights are drawn at GPT-2's scale, 0.02 at width 768, and in proportion to 1 / sqrt(width)
    elsewhere: at 0.02 a narrow model spends its first epochs on growing its weights.
    """
    with seeded(seed):
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=vocabulary,
                n_positions=architecture.positions,
                n_embd=architecture.width,
                n_layer=architecture.layers,
                n_head=architecture.heads,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                initializer_range=0.02 * (768 / architecture.width) ** 0.5,
                bos_token_id=start,
                eos_token_id=start,
            )
        )


def change(model: PreTrainedModel, surgery: Changes, seed: int) -> PreTrainedModel:
    """The model after surgery, itself without any; new weights are a pure function of `seed`."""
    if not surgery:
        return model
    with seeded(seed):
        return operate(model, surgery)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws inside the block depend on `seed` alone and leave the generators outside untouched."""
    with torch.random.fork_rng():
        torch.manual_seed(seeding.number(seed, "weights"))
        yield


def save(model: PreTrainedModel, tokenizer: str | Path, path: str | Path) -> None:
    """Write an ordinary Hugging Face directory, tokenizer included, atomically."""
    with atomic(path) as temporary:
        temporary.mkdir()
        model.save_pretrained(temporary)
        copy_tokenizer(tokenizer, temporary)


def load(path: str | Path, device: str) -> PreTrainedModel:
    """Load a model in evaluation mode, float32.

    Raises:
        DistilleakError: there is no model at `path`, or its weights are damaged.
    """
    if not (Path(path) / "config.json").is_file():
        raise DistilleakError(f"{path}: no model here (config.json is missing)")
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise DistilleakError(
            f"{path}: damaged model ({reason}); delete the directory and run again"
        ) from error
    model, report = loaded
    if report["missing_keys"] or report["unexpected_keys"]:
        name = sorted({*report["missing_keys"], *report["unexpected_keys"]})[0]
        raise DistilleakError(
            f"{path}: the weights do not fit the configuration, first at {name!r}"
        )
    return model.to(device).eval()  # type: ignore[no-any-return]
