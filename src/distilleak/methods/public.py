"""public: distil on records that the teacher never saw, from a separate pool.

The student sees no member at all; whatever it leaks about them comes through the teacher's outputs.
"""

from typing import ClassVar

from distilleak.methods.base import DistillationParameters, PlainDistillation


class Parameters(DistillationParameters):
    """Only the objective; `pools.public` sets the number of records."""


class Method(PlainDistillation[Parameters]):
    """Only the records differ from plain distillation."""

    changes: ClassVar[str] = "the records"
    pool: ClassVar[str] = "public"
