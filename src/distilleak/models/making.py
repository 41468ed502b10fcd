"""Making, loading and saving language models; safetensors only."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from distilleak import seeding
from distilleak.errors import DistilleakError
from distilleak.files import atomic
from distilleak.guards import checksums
from distilleak.machine import processes
from distilleak.models import checkpoints, families, vocabulary
from distilleak.models.batches import Tokens
from distilleak.models.surgery.base import Changes, operate
from distilleak.records import tokenizer as tokenization
from distilleak.records.framing import Framing
from distilleak.records.tokenizer import copy_tokenizer
from distilleak.settings.architecture import CheckpointSettings, ModelSettings


def prepare(threads: int) -> str:
    """Set up torch for one job and return its device: deterministic, `threads` CPU threads."""
    torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS refuses to run
    device = processes.device()
    # On a GPU some attention kernels have no deterministic backward pass; they warn instead.
    # `torch.use_deterministic_algorithms` would import the compiler, which most jobs do without.
    torch.set_deterministic_debug_mode("error" if device == "cpu" else "warn")
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return device


def make(start: ModelSettings, tokenizer: str | Path, seed: int) -> PreTrainedModel:
    """The model that `start` describes, in float32; a pure function of the arguments.

    Its vocabulary is that of the tokenizer; rows of a checkpoint beyond it are dropped.

    Args:
        start: a shape or a checkpoint.
        tokenizer: directory of its tokenizer.
        seed: of the random weights.

    Raises:
        DistilleakError: the model is not there, not of a supported family, not in safetensors,
            needs code of its own, has a smaller vocabulary than the tokenizer, or predicts nothing.
    """
    with seeded(seed):
        if isinstance(start, CheckpointSettings):
            return fit(checkpoints.load(start), tokenizer, checkpoints.name(start))
        rows = tokenization.rows(tokenization.load(tokenizer))
        if start.type == "roberta":
            # It counts positions from its padding token and cannot be read without one.
            padding = {"pad_token_id": tokenization.padding_token(tokenizer)}
            start = start.model_copy(update={"options": {**padding, **start.options}})
        first = tokenization.framing(tokenizer, start.kind == "masked").start
        return families.build(start, rows, first)


def fit(model: PreTrainedModel, tokenizer: str | Path, name: str) -> PreTrainedModel:
    """The model of the checkpoint `name` with the vocabulary of a tokenizer.

    Raises:
        DistilleakError: it has a smaller vocabulary than the tokenizer, or predicts nothing.
    """
    rows = tokenization.rows(tokenization.load(tokenizer))
    fitting = _fitting(model, rows, name)
    _check_reading(fitting, framing(fitting, tokenizer), name)
    return fitting


def framing(model: PreTrainedModel, tokenizer: str | Path) -> Framing:
    """How the model reads records of the tokenizer."""
    return tokenization.framing(tokenizer, families.of(model).kind == "masked")


def check_length(model: PreTrainedModel, framing: Framing, tokens: Sequence[Tokens]) -> None:
    """Refuse records that the model has no positions for.

    Raises:
        DistilleakError: the longest of the records `tokens` does not fit.
    """
    longest = max(len(record) for record in tokens)
    needed, positions = framing.added + longest, families.positions(model)
    if needed > positions:
        raise DistilleakError(
            f"encoding.context: a record of {longest} tokens needs {needed} positions, but "
            f"the model ({model.config.model_type}) has {positions}; choose a shorter context"
        )


def _fitting(model: PreTrainedModel, rows: int, name: str) -> PreTrainedModel:
    """The model with the vocabulary of the tokenizer, which may be smaller: many are padded."""
    if model.config.vocab_size < rows:
        raise DistilleakError(
            f"{name}: a vocabulary of {model.config.vocab_size} tokens, but its tokenizer has "
            f"{rows}"
        )
    return vocabulary.trim(model, rows)


def _check_reading(model: PreTrainedModel, framing: Framing, name: str) -> None:
    """Let a checkpoint read something: what no part checks when it is built shows only then."""
    kept = model.training
    model.eval()  # type: ignore[no-untyped-call]
    ids = torch.full((1, 2), framing.start)
    visible = torch.ones_like(ids, dtype=torch.bool) if framing.masked else None
    try:
        with torch.no_grad():
            logits = families.logits(model, families.final_states(model, ids, visible, None))
    # A value in config.json that does not fit the others makes the library raise anything.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise DistilleakError(f"{name}: config.json describes no model ({reason})") from error
    model.train(kept)
    if logits.shape != (1, 2, model.config.vocab_size) or not logits.isfinite().all():
        raise DistilleakError(f"{name}: predicts no finite number for every token")


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
        checksums.seal(temporary)


def load(path: str | Path, device: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Load a model that a stage has written, in evaluation mode.

    Raises:
        DistilleakError: there is no model at `path`, or a file of it has changed or is missing.
    """
    checksums.verify(path)
    if not (Path(path) / "config.json").is_file():
        raise DistilleakError(
            f"{path}: no model here (config.json is missing); {checksums.mending(path)}"
        )
    model = checkpoints.read(path, dtype)
    model = vocabulary.trim(model, tokenization.rows(tokenization.load(path)))
    return model.to(device).eval()  # type: ignore[no-any-return,arg-type]
