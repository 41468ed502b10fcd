"""The supported model families: the names of their parts and of what shapes them.

Model classes are imported on demand: this table is read while transformers itself is
being imported (see `distilleak.surgery.base`), and a job needs one family or two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import transformers
from transformers import PreTrainedConfig

from distilleak.models import family_fields
from distilleak.settings.architecture import ArchitectureSettings, Kind

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def _lm_head(model: Any, hidden: Tensor) -> Tensor:
    return model.lm_head(hidden)  # type: ignore[no-any-return]


def _cls(model: Any, hidden: Tensor) -> Tensor:
    return model.cls(hidden)  # type: ignore[no-any-return]


def _vocab_projector(model: Any, hidden: Tensor) -> Tensor:
    transformed = model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
    return model.vocab_projector(transformed)  # type: ignore[no-any-return]


def _own_key_heads(a: ArchitectureSettings) -> dict[str, Any]:
    return {"num_key_value_heads": a.heads}


def _mobilebert(a: ArchitectureSettings) -> dict[str, Any]:
    """The proportions of the paper: 512 outside the blocks, 128 inside and in the embeddings."""
    return {
        "embedding_size": a.width // 4,
        "intra_bottleneck_size": a.width // 4,
        "intermediate_size": a.width,
    }


@dataclass(frozen=True)
class Family:
    """A model family that all methods work on.

    Attributes:
        kind: predicts the next token (`causal`) or masked ones (`masked`).
        config: configuration class.
        model_name: name of the model class with a language-modelling head.
        blocks: path of the list of transformer blocks.
        final_norm: the last norm before the head, its name beside the blocks or in the last one.
        logits: (model, final hidden states) -> logits.
        dropout: configuration fields of dropout rates.
        shape: configuration fields that follow from the shape otherwise than by their names.
        rotary: a position rotates pairs of dimensions of an attention head.
        shared_layers: the blocks are groups of layers that share their weights.
        counted_from_padding: position ids start after the padding token's id.
        embeds_neighbours: a token's embedding holds those beside it, of padding too.
    """

    kind: Kind
    config: type[PreTrainedConfig]
    model_name: str
    blocks: str
    final_norm: str
    logits: Callable[[Any, Tensor], Tensor]
    dropout: tuple[str, ...]
    shape: Callable[[ArchitectureSettings], dict[str, Any]] = lambda _: {}
    rotary: bool = False
    shared_layers: bool = False
    counted_from_padding: bool = False
    embeds_neighbours: bool = False

    @property
    def model(self) -> type[PreTrainedModel]:
        """The model class with a language-modelling head."""
        return getattr(transformers, self.model_name)  # type: ignore[no-any-return]

    def field(self, ours: str) -> str:
        """The configuration's name of one of our words; see `family_fields`."""
        return family_fields.field(self.config.model_type, ours)


_BERT_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")

FAMILIES = {
    "gpt2": Family(
        kind="causal",
        config=transformers.GPT2Config,
        model_name="GPT2LMHeadModel",
        blocks="transformer.h",
        final_norm="ln_f",
        logits=_lm_head,
        dropout=("resid_pdrop", "embd_pdrop", "attn_pdrop"),
    ),
    "gpt_neox": Family(
        kind="causal",
        config=transformers.GPTNeoXConfig,
        model_name="GPTNeoXForCausalLM",
        blocks="gpt_neox.layers",
        final_norm="final_layer_norm",
        logits=_lm_head,
        dropout=("hidden_dropout", "attention_dropout"),
        rotary=True,
    ),
    "opt": Family(
        kind="causal",
        config=transformers.OPTConfig,
        model_name="OPTForCausalLM",
        blocks="model.decoder.layers",
        final_norm="final_layer_norm",
        logits=_lm_head,
        # A layer that is dropped is a draw like any other.
        dropout=("dropout", "attention_dropout", "layerdrop"),
    ),
    "llama": Family(
        kind="causal",
        config=transformers.LlamaConfig,
        model_name="LlamaForCausalLM",
        blocks="model.layers",
        final_norm="norm",
        logits=_lm_head,
        dropout=("attention_dropout",),
        shape=_own_key_heads,
        rotary=True,
    ),
    "qwen2": Family(
        kind="causal",
        config=transformers.Qwen2Config,
        model_name="Qwen2ForCausalLM",
        blocks="model.layers",
        final_norm="norm",
        logits=_lm_head,
        dropout=("attention_dropout",),
        shape=_own_key_heads,
        rotary=True,
    ),
    "gemma": Family(
        kind="causal",
        config=transformers.GemmaConfig,
        model_name="GemmaForCausalLM",
        blocks="model.layers",
        final_norm="norm",
        logits=_lm_head,
        dropout=("attention_dropout",),
        shape=lambda a: {**_own_key_heads(a), "head_dim": a.width // a.heads},
        rotary=True,
    ),
    "bert": Family(
        kind="masked",
        config=transformers.BertConfig,
        model_name="BertForMaskedLM",
        blocks="bert.encoder.layer",
        final_norm="output.LayerNorm",
        logits=_cls,
        dropout=_BERT_DROPOUT,
    ),
    "roberta": Family(
        kind="masked",
        config=transformers.RobertaConfig,
        model_name="RobertaForMaskedLM",
        blocks="roberta.encoder.layer",
        final_norm="output.LayerNorm",
        logits=_lm_head,
        dropout=_BERT_DROPOUT,
        counted_from_padding=True,
    ),
    "distilbert": Family(
        kind="masked",
        config=transformers.DistilBertConfig,
        model_name="DistilBertForMaskedLM",
        blocks="distilbert.transformer.layer",
        final_norm="output_layer_norm",
        logits=_vocab_projector,
        dropout=("dropout", "attention_dropout"),
    ),
    "albert": Family(
        kind="masked",
        config=transformers.AlbertConfig,
        model_name="AlbertForMaskedLM",
        blocks="albert.encoder.albert_layer_groups",
        final_norm="albert_layers.0.full_layer_layer_norm",
        logits=lambda model, hidden: model.predictions(hidden),
        dropout=_BERT_DROPOUT,
        shared_layers=True,
    ),
    "mobilebert": Family(
        kind="masked",
        config=transformers.MobileBertConfig,
        model_name="MobileBertForMaskedLM",
        blocks="mobilebert.encoder.layer",
        final_norm="output.bottleneck.LayerNorm",
        logits=_cls,
        dropout=_BERT_DROPOUT,
        shape=_mobilebert,
        embeds_neighbours=True,
    ),
}
