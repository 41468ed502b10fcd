"""public: distil on records that the teacher never saw, from a pool of their own.

The student sees no member at all; what it leaks of them comes through the teacher's answers.
"""

from typing import ClassVar

from distilleak.methods.base import DistillationParameters, PlainDistillation


class Parameters(DistillationParameters):
    """Only the objective; how many records there are, `pools.public` says."""


class Method(PlainDistillation[Parameters]):
    """Only the records differ from plain distillation."""

    changes: ClassVar[str] = "the records"
    pool: ClassVar[str] = "public"
