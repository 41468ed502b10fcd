"""Model directories as a plan sees them: `config.json`, weights of zeros and a tokenizer's file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "max_position_embeddings": 64,
    "vocab_size": 30,
}
BERT: dict[str, Any] = {**LLAMA, "model_type": "bert"}


def write(directory: Path, config: dict[str, Any] = LLAMA, tokens: int = 28, **changes: Any) -> str:
    """Write a model directory; returns its path.

    Args:
        directory: new.
        config: of the model; `changes` replace fields of it, None removes one.
        tokens: of the tokenizer, the last of which is an added one.
    """
    directory.mkdir(parents=True)
    changed = {key: value for key, value in {**config, **changes}.items() if value is not None}
    (directory / "config.json").write_text(json.dumps(changed))
    block = "model.layers" if config is LLAMA else "bert.encoder.layer"
    weights = {f"{block}.{number}.w.weight": np.zeros((2, 2), np.float32) for number in range(2)}
    name = "model.embed_tokens" if config is LLAMA else "bert.embeddings.word_embeddings"
    weights[f"{name}.weight"] = np.zeros((30, 8), np.float32)
    save_file(weights, directory / "model.safetensors")
    write_tokenizer(directory, {f"w{number}": number for number in range(tokens - 1)}, tokens - 1)
    return str(directory)


def write_tokenizer(directory: Path, words: dict[str, int], added: int) -> None:
    """Write a tokenizer's file with these words and one added token."""
    tokenizer = {
        "model": {"type": "WordLevel", "vocab": words},
        "added_tokens": [{"content": "<added>", "id": added}],
    }
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
