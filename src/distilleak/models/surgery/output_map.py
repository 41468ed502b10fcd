"""A per-token affine map of the logits, with two buffers of vocabulary size inside the head.

It acts in `forward`: attacks read logits, and a processor of `generate` alone would protect
nothing. Buffers rather than scaled rows of the head: the rows may be tied to the embeddings.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from distilleak.models.surgery._head import head_of


class OutputMap(nn.Module):
    """c + (z - c) * scale + shift, c the row's mean logit (`mean`) or zero (`zero`)."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, vocabulary: int, centre: str) -> None:
        super().__init__()
        self.centre = centre
        self.register_buffer("scale", torch.ones(vocabulary))
        self.register_buffer("shift", torch.zeros(vocabulary))

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return map_logits(logits, self.scale, self.shift, self.centre)


def map_logits(
    logits: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, centre: str
) -> torch.Tensor:
    """Map logits (..., vocabulary) with `scale` and `shift` (vocabulary,) about `centre`."""
    if centre == "zero":
        return logits * scale + shift
    mean = logits.mean(-1, keepdim=True)
    return mean + (logits - mean) * scale + shift


def apply(model: PreTrainedModel, centre: str) -> None:
    """Put an identity map behind the head of `model`."""
    head = head_of(model)
    head.after.append(OutputMap(head.out_features, centre))


def set_buffers(
    model: PreTrainedModel, scale: NDArray[np.float32], shift: NDArray[np.float32]
) -> None:
    """Give the output map of `model` its values, (vocabulary,) each."""
    output_map = next(part for part in head_of(model).after if isinstance(part, OutputMap))
    output_map.scale.copy_(torch.from_numpy(scale))
    output_map.shift.copy_(torch.from_numpy(shift))
