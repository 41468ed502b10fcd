"""NoNorm (MobileBERT, Sun et al. 2020): y = x * weight + bias in place of a normalisation."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from distilleak.batches import Batch


class NoNorm(nn.Module):
    """Element-wise affine map of (..., d); no statistics."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps  # of the norm it replaces; only folding needs it

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden * self.weight + self.bias


def apply(model: PreTrainedModel, keep_final: bool) -> None:
    """Replace the LayerNorms of `model`, all or all but the one before the head."""
    sites = list(_norms(model))
    for parent, name in sites[: len(sites) - keep_final]:
        norm = getattr(parent, name)
        setattr(parent, name, NoNorm(norm.weight.shape[0], norm.eps))


@torch.no_grad()
def fold_statistics(model: PreTrainedModel, batches: Sequence[Batch]) -> None:
    """Start each map where its norm stood: weight = gamma / std, bias = beta - gamma * mean / std.

    gamma and beta are what the maps hold on entry (copied from the norms under the same names);
    mean and std are averages over the tokens of `batches`. Sites are done in forward order, each on
    inputs that already passed through the maps before it. Copied gammas without the statistics
    explode, ones and zeros start much worse.
    """
    for site in [part for part in model.modules() if isinstance(part, NoNorm)]:
        seen: list[torch.Tensor] = []
        handle = site.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        means, deviations, tokens = 0.0, 0.0, 0
        for batch in batches:
            batch.hidden_states(model)
            hidden = seen.pop()[batch.mask].double()  # (tokens, d)
            means += hidden.mean(-1).sum().item()
            deviations += (hidden.var(-1, correction=0) + site.eps).sqrt().sum().item()
            tokens += len(hidden)
        handle.remove()
        mean, deviation = means / tokens, deviations / tokens
        site.bias.sub_(site.weight * mean / deviation)
        site.weight.div_(deviation)


def _norms(model: PreTrainedModel) -> Iterator[tuple[nn.Module, str]]:
    """(parent, name) of every norm, in forward order."""
    for path, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            parent, _, name = path.rpartition(".")
            yield model.get_submodule(parent), name
