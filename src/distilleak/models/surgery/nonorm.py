"""NoNorm (MobileBERT, Sun et al. 2020): y = x * weight + bias in place of a normalisation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from distilleak.models import families
from distilleak.models.batches import Batch

Norm = nn.LayerNorm | LlamaRMSNorm | Qwen2RMSNorm | GemmaRMSNorm


class NoNorm(nn.Module):
    """Element-wise affine map of (..., d); no statistics.

    Only folding needs to know of the norm that it replaces: its `eps` and whether it was `centred`
    (LayerNorm) or not (RMSNorm). `offset` is what the norm adds to its weight: 1 in Gemma, else 0.
    """

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.centred = isinstance(norm, nn.LayerNorm)
        self.eps: float = getattr(norm, "variance_epsilon", None) or norm.eps
        self.offset = 1.0 if isinstance(norm, GemmaRMSNorm) else 0.0
        shape = tuple(norm.normalized_shape if self.centred else norm.weight.shape)
        self.weight = nn.Parameter(torch.full(shape, 1.0 - self.offset))
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden * (self.offset + self.weight) + self.bias

    def statistics(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the norm subtracts from and divides (..., d) by, (..., 1) each."""
        mean = hidden.mean(-1, keepdim=True) if self.centred else hidden.new_zeros(())
        square = (hidden - mean).square().mean(-1, keepdim=True)
        return mean.expand_as(square), (square + self.eps).sqrt()


def apply(model: PreTrainedModel, keep_final: bool, share: float = 1.0) -> None:
    """Replace every LayerNorm and RMSNorm of `model`, or all but the last one before the head.

    Of these only the `share` nearest to the input, rounded, at least one.

    The norm inside the head of a masked model stays in any case, as in MobileBERT.
    """
    base = model.base_model
    final = _final_norm(model) if keep_final else None
    sites = [
        (path, module)
        for path, module in base.named_modules()
        if isinstance(module, Norm) and module is not final
    ]
    for path, norm in sites[: max(1, round(share * len(sites)))]:
        parent, _, name = path.rpartition(".")
        setattr(base.get_submodule(parent), name, NoNorm(norm))


@torch.no_grad()
def fold_statistics(model: PreTrainedModel, batches: Sequence[Batch]) -> None:
    """Start each map where its norm stood: weight = gamma / std, bias = beta - gamma * mean / std.

    gamma and beta are what the maps hold on entry (copied from the norms under the same names);
    mean and std are averages over the tokens of `batches`, and over all visits of a map that layers
    share. For an RMSNorm the mean is 0 and std is the root mean square. Sites are done in forward
    order, each on inputs that already passed through the maps before it. Copied gammas without the
    statistics explode, ones and zeros start much worse.
    """
    waiting = _in_forward_order(model, batches[0])
    while waiting:
        # What is not folded yet normalises, for a shared site comes again after later ones.
        with _normalising(waiting):
            mean, deviation = _averages(model, waiting[0], batches)
        site = waiting.pop(0)
        gamma = site.offset + site.weight
        site.bias.sub_(gamma * mean / deviation)
        site.weight.copy_(gamma / deviation - site.offset)


def _averages(
    model: PreTrainedModel, site: NoNorm, batches: Sequence[Batch]
) -> tuple[float, float]:
    """Mean over tokens and visits of what the norm at `site` would subtract and divide by."""
    total, count = torch.zeros(2, dtype=torch.float64, device=model.device), 0
    for batch in batches:
        seen: list[torch.Tensor] = []
        handle = site.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        try:
            batch.hidden_states(model)
        finally:
            handle.remove()
        tokens = (batch.mask if batch.visible is None else batch.visible).flatten()
        for states in seen:
            statistics = site.statistics(states.flatten(0, -2)[tokens].double())  # (tokens, 1) each
            total += torch.stack([values.sum() for values in statistics])
            count += int(tokens.sum())
    mean, deviation = (total / count).tolist()
    return mean, deviation


def _in_forward_order(model: PreTrainedModel, batch: Batch) -> list[NoNorm]:
    """The maps of `model` in the order in which the data first meet them."""
    order: dict[NoNorm, None] = {}
    maps = [part for part in model.modules() if isinstance(part, NoNorm)]
    handles = [
        part.register_forward_pre_hook(lambda met, _: order.setdefault(met)) for part in maps
    ]
    try:
        batch.hidden_states(model)
    finally:
        for handle in handles:
            handle.remove()
    return list(order)


@contextmanager
def _normalising(sites: Sequence[NoNorm]) -> Iterator[None]:
    """Let the maps at `sites` normalise for a while."""

    def normalise(site: NoNorm, inputs: tuple[torch.Tensor], _: torch.Tensor) -> torch.Tensor:
        mean, deviation = site.statistics(inputs[0])
        return site.forward((inputs[0] - mean) / deviation)

    handles = [site.register_forward_hook(normalise) for site in sites]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _final_norm(model: PreTrainedModel) -> nn.Module | None:
    """The last norm that the hidden states pass before the head; None if that is a map already."""
    family = families.of(model)
    around = model.get_submodule(family.blocks.rpartition(".")[0])
    last = families.blocks(model)[-1]
    for parent, path in (
        (around, family.final_norm),
        (last, "norm_after"),
        (last, family.final_norm),
    ):
        found: Any = parent
        for name in path.split("."):
            found = getattr(found, name, None)
        if isinstance(found, Norm):
            return found
    return None
