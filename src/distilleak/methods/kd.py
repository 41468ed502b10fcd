"""kd: standard distillation on all members; what every other method is compared with."""

from distilleak.methods.base import DistillationParameters, PlainDistillation


class Parameters(DistillationParameters):
    """Plain distillation has only its objective to choose."""


class Method(PlainDistillation[Parameters]):
    """Nothing differs from plain distillation."""
