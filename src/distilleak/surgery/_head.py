"""The vocabulary head of a surgered model: a linear map with room before and after it."""

import torch
from torch import nn
from transformers import PreTrainedModel


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

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.after(super().forward(self.before(hidden)))  # type: ignore[no-any-return]


def head_of(model: PreTrainedModel) -> Head:
    """The model's head as a `Head`; a plain one is replaced."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if not isinstance(head, Head):
        head = Head(head)
        model.set_output_embeddings(head)  # type: ignore[no-untyped-call]
    return head
