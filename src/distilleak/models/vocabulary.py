"""The vocabulary of a study is that of its tokenizer: rows beyond it are dropped from a model.

Many checkpoints are padded to a multiple of 64 or 128 rows, and one tokenizer is used with several
numbers of them. What a model gives a row that stands for no token would count in every softmax.
"""

import copy

import torch
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models import families

_SIZES = {"num_embeddings", "padding_idx", "in_features", "out_features"}
"""Attributes in which a part repeats the shape of its weights."""


def trim(model: PreTrainedModel, rows: int) -> PreTrainedModel:
    """The model with the first `rows` rows of its vocabulary, in place; itself if it has no more.

    Whatever has another shape in a model of that vocabulary loses its end: embeddings, head, biases
    and the maps behind them. Weights that are tied stay tied.

    Raises:
        DistilleakError: RoBERTa counts positions from a token that is dropped.
    """
    if model.config.vocab_size <= rows:
        return model
    family = families.of(model)
    config = copy.deepcopy(model.config)
    config.vocab_size = rows
    if config.pad_token_id is not None and config.pad_token_id >= rows:
        if family.counted_from_padding:
            raise DistilleakError(
                f"pad_token_id {config.pad_token_id} is none of the tokenizer's {rows} tokens, and "
                f"positions of {families.name(model)} are counted from it"
            )
        config.pad_token_id = None
    with torch.device("meta"):
        wanted = type(model)(config)
    shapes = {name: tensor.shape for name, tensor in wanted.state_dict().items()}
    with torch.no_grad():
        for name, tensor in model.state_dict(keep_vars=True).items():
            # Of a tied one the second name finds it done.
            if tensor.shape != shapes[name]:
                tensor.data = tensor[tuple(slice(size) for size in shapes[name])].clone()
    parts = dict(wanted.named_modules())
    for name, module in model.named_modules():
        for size in _SIZES & vars(module).keys():
            setattr(module, size, getattr(parts[name], size))
    model.config.vocab_size = rows
    model.config.pad_token_id = config.pad_token_id
    return model
