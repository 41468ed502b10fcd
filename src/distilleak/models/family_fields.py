"""The names that the configuration of each family gives to what all families have.

Read without importing transformers, so that a plan can look into a `config.json`.
"""

SURGERED = "distilleak_"
"""Stands before the model type of a family's models after surgery."""
_COMMON = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "positions": "max_position_embeddings",
    "inner": "intermediate_size",
    "scale": "initializer_range",
    "head_width": "hidden_size",
}
_OWN = {
    "gpt2": {
        "layers": "n_layer",
        "width": "n_embd",
        "heads": "n_head",
        "positions": "n_positions",
        "inner": "n_inner",
        "head_width": "n_embd",
    },
    "opt": {"inner": "ffn_dim", "scale": "init_std", "head_width": "word_embed_proj_dim"},
    "distilbert": {
        "layers": "n_layers",
        "width": "dim",
        "heads": "n_heads",
        "inner": "hidden_dim",
        "head_width": "dim",
    },
    "albert": {"head_width": "embedding_size"},
}


def field(family: str, ours: str) -> str:
    """The configuration's name of one of our words.

    Args:
        family: as Hugging Face calls it.
        ours: layers, width, heads, positions, inner (width of the feed-forward network), scale (of
            random weights), head_width.
    """
    return {**_COMMON, **_OWN.get(family, {})}[ours]
