"""A low-dimensional projection in the head, or around every transformer block."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

from distilleak.batches import Batch
from distilleak.surgery._head import head_of


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
    """

    def __init__(self, config: PreTrainedConfig, rank: int, layer: int) -> None:
        super().__init__()
        narrow: Any = type(config)(**{**config.to_dict(), "n_embd": rank})
        self.down = nn.Linear(config.hidden_size, rank)
        self.norm_before = nn.LayerNorm(rank, eps=narrow.layer_norm_epsilon)
        self.block = GPT2Block(narrow, layer_idx=layer)  # type: ignore[no-untyped-call]
        # The model makes the causal mask for the attention that its own configuration names, and
        # none at all for one that is causal by itself: with another, tokens would see the future.
        self.block.attn.config = config
        self.up = nn.Linear(rank, config.hidden_size)
        self.norm_after = nn.LayerNorm(config.hidden_size, eps=narrow.layer_norm_epsilon)

    def forward(self, hidden: torch.Tensor, *arguments: object, **options: object) -> torch.Tensor:
        worked = self.block(self.norm_before(self.down(hidden)), *arguments, **options)
        return self.norm_after(hidden + self.up(worked))  # type: ignore[no-any-return]


def apply(model: PreTrainedModel, place: str, rank: int) -> None:
    """Insert the projection into `model`; with `place` "block", the heads must divide the rank."""
    if place == "head":
        head = head_of(model)
        head.before.append(Projection(head.in_features, rank))
        return
    blocks: Any = model.base_model.h
    for layer in range(len(blocks)):
        blocks[layer] = NarrowBlock(model.config, rank, layer)
        blocks[layer].apply(model._init_weights)


@torch.no_grad()
def start_from_principal_components(model: PreTrainedModel, batches: Sequence[Batch]) -> None:
    """Make the head's projection the orthogonal one onto the top principal components.

    The components are those of the model's own final hidden states on `batches` (uncentred, since
    the projection has no bias): the best start of its rank in the squared sense.
    """
    projection = next(part for part in head_of(model).before if isinstance(part, Projection))
    rank, width = projection.down.weight.shape
    second_moment = torch.zeros(width, width, dtype=torch.float64)
    for batch in batches:
        hidden = batch.hidden_states(model).double().cpu()  # (tokens, d)
        second_moment += hidden.T @ hidden
    components = torch.linalg.eigh(second_moment).eigenvectors[:, -rank:].flip(-1)  # (d, rank)
    projection.down.weight.copy_(components.T)
    projection.up.weight.copy_(components)
