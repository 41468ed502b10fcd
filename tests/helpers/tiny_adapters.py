"""LoRA adapters as peft saves them, written by hand, and what they change in float64."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Matrix = NDArray[np.float64]


def config(rank: int = 2, alpha: int = 6, **changes: Any) -> dict[str, Any]:
    """What peft writes, in short."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "nobody/has-this-model",
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.1,
        "bias": "none",
        **changes,
    }


def write(
    directory: Path, shapes: Mapping[str, Sequence[int]], rank: int = 2, **changes: Any
) -> dict[str, tuple[Matrix, Matrix]]:
    """Write an adapter.

    Args:
        directory: new.
        shapes: module -> (outputs, inputs) of its matrix.
        rank: of every module.
        changes: of the configuration.

    Returns:
        Module -> A, (rank, inputs), and B, (outputs, rank).
    """
    directory.mkdir(parents=True)
    rng = np.random.default_rng(3)
    made = {
        module: (rng.normal(0, 0.3, (rank, inputs)), rng.normal(0, 0.3, (outputs, rank)))
        for module, (outputs, inputs) in shapes.items()
    }
    weights = {
        f"base_model.model.{module}.lora_{which}.weight": matrix.astype(np.float32)
        for module, pair in made.items()
        for which, matrix in zip("AB", pair, strict=True)
    }
    save_file(weights, directory / "adapter_model.safetensors")
    targets = sorted({module.rpartition(".")[2] for module in shapes})
    given = config(rank, **{"target_modules": targets, **changes})
    (directory / "adapter_config.json").write_text(json.dumps(given))
    return {
        module: (down.astype(np.float32).astype(np.float64), up.astype(np.float32).astype(float))
        for module, (down, up) in made.items()
    }
