"""Where the files of a study lie, said once for the rules and the stages.

A name may be a pattern such as `{seed}` of the workflow.
"""

from pathlib import Path


def results_directory() -> Path:
    """Everything that the workflow makes."""
    return Path("results")


def study_directory(study: str) -> Path:
    """Everything of one study."""
    return results_directory() / study


def base_directory(root: str | Path, base: str) -> Path:
    """Everything of one base model, which all seeds share: `passages.parquet` and `tokenizer/` for
    the bases with the same texts, `model/`, `facts.json`."""
    return Path(root) / "bases" / base


def seed_directory(root: str | Path, seed: int | str) -> Path:
    """Everything of one seed."""
    return Path(root) / f"seed-{seed}"


def data_directory(root: str | Path, seed: int | str, data: str) -> Path:
    """Tokenizer, records and blind verdict that some pairs of one seed share.

    `data` is empty, or begins with a slash: the directory below that of the seed.
    """
    return Path(f"{seed_directory(root, seed)}{data}")


def floors_file(root: str | Path, seed: int | str, data: str) -> Path:
    """What count models of these records reach."""
    return data_directory(root, seed, data) / "floors.parquet"


def model_directory(root: str | Path, seed: int | str, pair: str, model: str) -> Path:
    """Everything about one model of one pair and seed.

    `model/` (Hugging Face directory), `facts.json`, `selection.parquet` (students),
    `evidence/<view>.parquet`, `scores.parquet`, `metrics.parquet`, `bootstrap.parquet`.
    """
    return seed_directory(root, seed) / pair / model


def part_directory(root: str | Path, seed: int | str, pair: str, part: str, model: str) -> Path:
    """One part of a model's evidence, where several jobs compute it."""
    return seed_directory(root, seed) / pair / "shards" / part / model


def evidence_file(model: str | Path, view: str) -> Path:
    """The evidence of one view, below the directory of its model."""
    return Path(model) / "evidence" / f"{view}.parquet"


def benchmarks_directory(root: str | Path) -> Path:
    """What each job took, as Snakemake measured it."""
    return Path(root) / "benchmarks"
