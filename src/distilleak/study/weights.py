"""Weights of the models that a configuration describes."""

from distilleak.settings.architecture import ArchitectureSettings
from distilleak.study.arms import Arm, student_shape
from distilleak.study.study import Study

GATED = ("llama", "qwen2", "gemma")
"""Families with three matrices in the feed-forward part instead of two."""


def student_weights(study: Study, arm: Arm, model: str | None) -> float:
    """Weights in matrix products of a student, or of the pair's; 0 for a pretrained model."""
    start = arm.pair.student if model is None else study.student_of(model, arm.pair)
    shape = student_shape(arm.pair.model_copy(update={"student": start}))
    return 0.0 if shape is None else matrix_weights(shape, study.tokenizer.vocabulary)


def matrix_weights(shape: ArchitectureSettings, vocabulary: int) -> float:
    """Weights that take part in matrix products for every token: blocks and head.

    Four square matrices of attention and two (gated: three) of the feed-forward part per block. A
    head that shares its weights with the embedding counts once.
    """
    inner = next(
        (
            float(shape.options[key])
            for key in ("intermediate_size", "n_inner", "ffn_dim")
            if key in shape.options
        ),
        4.0 * shape.width,
    )
    feed_forward = (3 if shape.type in GATED else 2) * shape.width * inner
    return shape.layers * (4 * shape.width**2 + feed_forward) + vocabulary * shape.width
