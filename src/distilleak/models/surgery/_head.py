"""The vocabulary head of a surgered model: a linear map with room before and after it."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.models.mobilebert.modeling_mobilebert import MobileBertLMPredictionHead


class Head(nn.Linear):
    """hidden (..., d) -> before -> linear -> after -> logits (..., vocabulary).

    A subclass of `nn.Linear`, so that `weight` keeps its name and can be tied to the embeddings.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(1, 1, bias=False, device="meta")
        self.in_features, self.out_features = linear.in_features, linear.out_features
        # The same Parameter objects: weights that were tied stay tied.
        self.weight, self.bias = linear.weight, linear.bias
        self.before = nn.Sequential()
        self.after = nn.Sequential()

    def matrix(self) -> torch.Tensor:
        """The weights of the linear map, (vocabulary, d)."""
        return self.weight

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.after(super().forward(self.before(hidden)))  # type: ignore[no-any-return]


class ConcatenatedHead(MobileBertLMPredictionHead):
    """MobileBERT's head, whose matrix is that of the embeddings and a second one beside it."""

    def __init__(self, plain: Any) -> None:
        nn.Module.__init__(self)
        self.transform, self.dense, self.decoder = plain.transform, plain.dense, plain.decoder
        self.bias = plain.bias
        self.in_features = plain.decoder.in_features + plain.dense.out_features
        self.out_features = plain.decoder.out_features
        self.before = nn.Sequential()
        self.after = nn.Sequential()

    def matrix(self) -> torch.Tensor:
        """The weights of the linear map, (vocabulary, d)."""
        return torch.cat([self.decoder.weight.t(), self.dense.weight]).t()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        logits = self.before(self.transform(hidden)) @ self.matrix().t() + self.decoder.bias
        return self.after(logits)  # type: ignore[no-any-return]


def head_of(model: PreTrainedModel) -> Head | ConcatenatedHead:
    """The model's head with room before and after it; a plain one is replaced."""
    anything: Any = model
    predictions = getattr(getattr(anything, "cls", None), "predictions", None)
    if isinstance(predictions, MobileBertLMPredictionHead):
        if not isinstance(predictions, ConcatenatedHead):
            anything.cls.predictions = predictions = ConcatenatedHead(predictions)
        return predictions
    head = anything.get_output_embeddings()
    if not isinstance(head, Head):
        # Not by `set_output_embeddings`: BERT's then shares a bias that it would save only once.
        name = next(name for name, module in model.named_modules() if module is head)
        parent, _, leaf = name.rpartition(".")
        head = Head(head)
        setattr(model.get_submodule(parent), leaf, head)
    return head
