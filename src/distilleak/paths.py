"""Where the files of a study lie, said once for the rules and the stages."""

from pathlib import Path


def seed_directory(root: str | Path, seed: int | str) -> Path:
    """Everything of one seed."""
    return Path(root) / f"seed-{seed}"


def data_directory(root: str | Path, seed: int | str, data: str) -> Path:
    """Tokenizer, records and blind verdict that some pairs of one seed share.

    `data` is empty, or begins with a slash: the directory below that of the seed.
    """
    return Path(f"{seed_directory(root, seed)}{data}")


def model_directory(root: str | Path, seed: int | str, pair: str, model: str) -> Path:
    """Everything about one model of one pair and seed.

    `model/` (Hugging Face directory), `facts.json`, `selection.parquet` (students),
    `evidence/<view>.parquet`, `scores.parquet`, `metrics.parquet`, `bootstrap.parquet`.
    """
    return seed_directory(root, seed) / pair / model
