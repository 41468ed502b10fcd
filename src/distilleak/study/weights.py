"""Weights of the models that a configuration describes."""

from distilleak.settings.architecture import ArchitectureSettings, StudentSettings
from distilleak.study import arms
from distilleak.study.arms import Arm

GATED = ("llama", "qwen2", "gemma")
"""Families with three matrices in the feed-forward part instead of two."""


def student_weights(start: StudentSettings, arm: Arm, vocabulary: int) -> float:
    """Weights in matrix products of a student of `arm`; 0 for a pretrained model."""
    shape = arms.shape(start, arm.roles.teacher)
    return 0.0 if shape is None else matrix_weights(shape, vocabulary)


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
