"""kd: standard distillation on all members, the baseline of every other method."""

from distilleak.methods.base import DistillationParameters, PlainDistillation


class Parameters(DistillationParameters):
    """Plain distillation has only its objective to choose."""


class Method(PlainDistillation[Parameters]):
    """Nothing differs from plain distillation."""
