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
_HEAD_ROWS = 4096
"""Rows of the head that are held in float64 at once."""


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


def added(model: PreTrainedModel, place: str) -> list[str]:
    """The names of the parameters that the projection brings, which start untrained.

    With `place` "block" these are all parameters of the blocks: narrow ones take over no weights.
    """
    if place == "block":
        brought = list(families.blocks(model))
    else:
        brought = [part for part in model.modules() if isinstance(part, Projection)]
    own = {weight for part in brought for weight in part.parameters()}
    return [name for name, weight in model.named_parameters() if weight in own]


@torch.no_grad()
def start_from_logits(model: PreTrainedModel, batches: Sequence[Batch]) -> None:
    """Make the head's projection the one that changes the logits on `batches` least.

    A token counts as much as its mean probability p on `batches`: what becomes of logits that are
    always low hardly matters. From each row of logits its mean under p is subtracted, since no
    softmax depends on it. With the rows of the head W, (vocabulary, d), centred and weighted by the
    root of p accordingly, and the second moment S of the states h that the projection reads, the P
    of rank r that minimises the mean of |W h - W P h|^2 is S^(1/2) V V^T S^(-1/2), where the
    columns of V are the first r right singular vectors of W S^(1/2) (reduced-rank regression,
    Izenman 1975). Up and down share the singular values of P equally, so that steps of equal size
    suit both.
    """
    head = head_of(model)
    projection = next(part for part in head.before if isinstance(part, Projection))
    rank = projection.down.out_features
    moment, probability = _seen(model, projection, batches)
    root, inverse = _roots(moment)
    weighted = root @ _weighted_gram(head.matrix(), probability) @ root  # (W S^(1/2))^T W S^(1/2)
    leading = torch.linalg.eigh(weighted).eigenvectors[:, -rank:]
    left, values, right = torch.linalg.svd((root @ leading) @ (leading.T @ inverse))
    shared = values[:rank].sqrt()
    projection.up.weight.copy_(left[:, :rank] * shared)
    projection.down.weight.copy_(shared[:, None] * right[:rank])


def _seen(
    model: PreTrainedModel, projection: Projection, batches: Sequence[Batch]
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the projection reads, and what the model predicts without it.

    Returns:
        The mean of h h^T over the states, (d, d) float64, on the CPU. A millionth of its mean
        eigenvalue is added to each: directions without a state, which there are where states are
        few, come last and are still not lost at full rank. And the mean probability of each token,
        (vocabulary,) float64, on the model's device.
    """
    width = projection.down.in_features
    total = torch.zeros(width, width, dtype=torch.float64, device=model.device)
    probability = torch.zeros(model.config.vocab_size, dtype=torch.float64, device=model.device)
    count = 0

    def add(_: nn.Module, inputs: tuple[torch.Tensor], __: torch.Tensor) -> torch.Tensor:
        states = inputs[0].double()  # (rows, d)
        total.add_(states.T @ states)
        return inputs[0]

    handle = projection.register_forward_hook(add)
    try:
        for batch in batches:
            for chunk in torch.split(batch.hidden_states(model), _ROWS):
                logits = families.logits(model, chunk).float()
                probability += torch.softmax(logits, -1).sum(0, dtype=torch.float64)
                count += len(chunk)
    finally:
        handle.remove()
    # On the CPU, whose decomposition is the same wherever the model is.
    moment = total.cpu() / count
    ridge = 1e-6 * moment.trace() / width * torch.eye(width, dtype=torch.float64)
    return moment + ridge, probability / count


def _roots(moment: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The symmetric square root of a positive definite matrix, and the inverse of that root."""
    values, vectors = torch.linalg.eigh(moment)
    return (vectors * values.sqrt()) @ vectors.T, (vectors / values.sqrt()) @ vectors.T


def _weighted_gram(matrix: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The sum of w v v^T over the rows v of `matrix`, (vocabulary, d), less their mean; w are the
    `weights`, (vocabulary,) of sum 1, also of that mean. (d, d) float64, on the CPU."""
    parts = list(
        zip(torch.split(matrix, _HEAD_ROWS), torch.split(weights, _HEAD_ROWS), strict=True)
    )
    width = matrix.shape[1]
    mean = torch.zeros(width, dtype=torch.float64, device=matrix.device)
    gram = torch.zeros(width, width, dtype=torch.float64, device=matrix.device)
    for rows, own in parts:
        mean += own @ rows.double()
    for rows, own in parts:
        centred = rows.double() - mean
        gram += (own[:, None] * centred).T @ centred
    return gram.cpu()


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
