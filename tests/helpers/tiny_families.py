"""A tiny model of every family, records that it can read, and changes to its architecture."""

from functools import cache
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from distilleak.models import families
from distilleak.models.batches import Batch, Tokens, batch
from distilleak.models.family_table import FAMILIES
from distilleak.models.surgery.base import Changes
from distilleak.records.framing import Framing
from distilleak.settings.architecture import ArchitectureSettings

VOCABULARY, START, MASK, WIDTH, POSITIONS = 50, 0, 1, 16, 32
RED = 17  # the token whose logit the output maps lower
NAMES = tuple(FAMILIES)
CAUSAL = tuple(name for name in NAMES if FAMILIES[name].kind == "causal")
MASKED = tuple(name for name in NAMES if FAMILIES[name].kind == "masked")
ROTARY = tuple(name for name in NAMES if FAMILIES[name].rotary)


def shape(name: str, **changes: object) -> ArchitectureSettings:
    given = {"layers": 2, "width": WIDTH, "heads": 2, "positions": POSITIONS, **changes}
    return ArchitectureSettings.model_validate({"type": name, **given})


def framing(name: str) -> Framing:
    return Framing(START) if name in CAUSAL else Framing(START, START, MASK)


@torch.no_grad()
def randomise(model: PreTrainedModel, scale: float, seed: int = 0) -> None:
    """Move every weight, so that no bias is 0 and no norm is 1."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.add_(scale * torch.randn(weight.shape, generator=generator))


def fresh(name: str, **changes: object) -> PreTrainedModel:
    """A model of its own for a test that changes it."""
    torch.manual_seed(0)
    model = families.build(shape(name, **changes), VOCABULARY, START)
    randomise(model, 0.1)
    model.eval()  # type: ignore[no-untyped-call]
    return model


@cache
def tiny(name: str) -> PreTrainedModel:
    """A model that no test changes."""
    return fresh(name)


def records(count: int = 6, seed: int = 0) -> list[Tokens]:
    """Records of 3 to 9 tokens, among them the start token and the one that RoBERTa pads with."""
    rng = np.random.default_rng(seed)
    made = [rng.integers(2, VOCABULARY, length) for length in rng.integers(3, 10, count)]
    for tokens in made:
        tokens[1] = START
    return made


def batch_of(name: str, rows: range | list[int] | None = None) -> Batch:
    """The records as the family reads them; in a masked one every second token is hidden."""
    tokens = records()
    rows = list(range(len(tokens)) if rows is None else rows)
    chosen = None if name in CAUSAL else [np.arange(len(tokens[row])) % 2 == 0 for row in rows]
    return batch(tokens, rows, framing(name), "cpu", chosen)


@torch.no_grad()
def logits(model: PreTrainedModel, now: Batch) -> torch.Tensor:
    """What the model predicts for the batch, (n, vocabulary)."""
    return families.logits(model, now.hidden_states(model))


def generated(model: PreTrainedModel) -> list[int]:
    ids = torch.tensor([[START, 7, 9]])
    return model.generate(ids, max_new_tokens=6, do_sample=False, pad_token_id=START)[0].tolist()  # type: ignore[operator, no-any-return]


def head(rank: int) -> Changes:
    return {"bottleneck": {"place": "head", "rank": rank}}


def block(name: str, rank: int = 8) -> Changes:
    """MobileBERT's blocks work at 4 dimensions as they are."""
    return {"bottleneck": {"place": "block", "rank": rank // 4 if name == "mobilebert" else rank}}


def no_norm(keep_final: bool = False) -> Changes:
    return {"nonorm": {"keep_final": keep_final}}


def mapped(centre: str = "mean") -> Changes:
    return {"output_map": {"centre": centre}}


def buffers() -> tuple[np.ndarray[Any, np.dtype[np.float32]], ...]:
    scale, shift = np.ones(VOCABULARY, np.float32), np.zeros(VOCABULARY, np.float32)
    scale[5], shift[RED] = 0.5, -100.0
    return scale, shift
