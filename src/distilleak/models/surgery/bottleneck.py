"""A low-dimensional projection in the head, or around every transformer block."""

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models import families
from distilleak.models.batches import Batch
from distilleak.models.surgery._head import head_of

_ROWS = 256
"""Hidden states that go through the head at once, to the logits that nobody needs."""


class Projection(nn.Module):
    """(..., d) -> down -> (..., rank) -> up -> (..., d), without biases.

    `up` and an untied head can be multiplied out for release: Linear(d, r), Linear(r, vocabulary).
    """

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.up(self.down(hidden))  # type: ignore[no-any-return]


class NarrowBlock(nn.Module):
    """A transformer block that works at `rank`: the bottleneck of MobileBERT (Sun et al. 2020).

    Linear d -> rank and norm before the block's work; linear rank -> d, residual and norm after.
    `rotary` makes the position embeddings for the narrow attention heads, in families that turn
    queries and keys: those that the model makes are as wide as its own heads.
    """

    def __init__(self, block: nn.Module, width: int, rank: int, rotary: nn.Module | None) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank)
        self.norm_before = nn.LayerNorm(rank)
        self.block = block
        self.up = nn.Linear(rank, width)
        self.norm_after = nn.LayerNorm(width)
        self.rotary = rotary

    def forward(self, hidden: torch.Tensor, *arguments: object, **options: Any) -> torch.Tensor:
        narrow = self.norm_before(self.down(hidden))
        if self.rotary is not None:
            options["position_embeddings"] = self.rotary(narrow, options["position_ids"])
        worked = self.block(narrow, *arguments, **options)
        return self.norm_after(hidden + self.up(worked))  # type: ignore[no-any-return]


def apply(model: PreTrainedModel, place: str, rank: int) -> None:
    """Insert the projection into `model`.

    MobileBERT's blocks have projections of their own; with `place` "block" these become narrower.

    Raises:
        DistilleakError: with `place` "block", the attention heads do not fit the rank, or a
            MobileBERT is already as narrow.
    """
    if place == "head":
        head = head_of(model)
        head.before.append(Projection(head.in_features, rank))
        return
    config = _narrow_config(model, rank)
    families.check_head_size(families.of(model), config)
    blocks: Any = families.blocks(model)
    wide_rotary = getattr(model.base_model, "rotary_emb", None)
    for number, wide in enumerate(blocks):
        numbered = "layer_idx" in inspect.signature(type(wide)).parameters
        block = type(wide)(config, **({"layer_idx": number} if numbered else {}))
        # The model makes the causal mask for the attention that its own configuration names, and
        # none at all for one that is causal by itself: with another, tokens would see the future.
        for part in block.modules():
            if hasattr(part, "config"):
                part.config = model.config
        if not _has_own_projections(model.config):
            rotary = None if wide_rotary is None else type(wide_rotary)(config)
            block = NarrowBlock(block, families.width(model), rank, rotary)
        blocks[number] = block
        block.apply(model._init_weights)


@torch.no_grad()
def start_from_principal_components(model: PreTrainedModel, batches: Sequence[Batch]) -> None:
    """Make the head's projection the orthogonal one onto the top principal components.

    The components are those of what the projection reads on `batches` (uncentred, since it has no
    bias): the best start of its rank in the squared sense.
    """
    projection = next(part for part in head_of(model).before if isinstance(part, Projection))
    rank, width = projection.down.weight.shape
    second_moment = torch.zeros(width, width, dtype=torch.float64, device=model.device)

    def add(_: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        states = inputs[0].double()  # (rows, d)
        second_moment.add_(states.T @ states)

    handle = projection.register_forward_pre_hook(add)
    try:
        for batch in batches:
            for chunk in torch.split(batch.hidden_states(model), _ROWS):
                families.logits(model, chunk)
    finally:
        handle.remove()
    # On the CPU, whose decomposition is the same wherever the model is.
    directions = torch.linalg.eigh(second_moment.cpu()).eigenvectors
    components = directions[:, -rank:].flip(-1)  # (d, rank)
    projection.down.weight.copy_(components.T)
    projection.up.weight.copy_(components)


def _has_own_projections(config: PreTrainedConfig) -> bool:
    return bool(getattr(config, "use_bottleneck", False))


def _narrow_config(model: PreTrainedModel, rank: int) -> Any:
    """The configuration of blocks that work at `rank`, inner layers in proportion."""
    family, config = families.of(model), copy.deepcopy(model.config)
    if _has_own_projections(config):
        if rank >= config.intra_bottleneck_size:
            raise DistilleakError(
                f"{families.name(model)}: its blocks work at {config.intra_bottleneck_size} "
                f"dimensions already; choose a rank below that instead of {rank}, or place: head"
            )
        config.intra_bottleneck_size = config.true_hidden_size = rank
        return config
    width, inner = families.width(model), getattr(config, family.field("inner"))
    setattr(config, family.field("width"), rank)
    if inner is not None:  # GPT-2 takes four times the width, then
        setattr(config, family.field("inner"), max(1, inner * rank // width))
    for name, value in (
        ("head_dim", rank // families.get(model, "heads")),
        ("true_hidden_size", rank),
    ):
        if getattr(config, name, None) is not None:
            setattr(config, name, value)
    return config
