"""subset: distil on a random share of the members.

It is the trivial counterpart of every method that chooses its records: the members that it leaves
out leak through the teacher alone, whichever they are.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from distilleak.errors import DistilleakError
from distilleak.methods.base import DistillationParameters, DistillationSet, PlainDistillation


class Parameters(DistillationParameters):
    """How much to train on."""

    share: float = Field(default=0.5, gt=0, le=1)
    """Share of the members, rounded to a count."""


class Method(PlainDistillation[Parameters]):
    """Only the records differ from plain distillation."""

    changes: ClassVar[str] = "the records"

    def select(self, members: DistillationSet, rng: np.random.Generator) -> NDArray[np.int64]:
        """A random share of all records."""
        records = len(members.record_id)
        count = round(self.parameters.share * records)
        if not count:
            raise DistilleakError(
                f"subset: a share of {self.parameters.share:g} of {records} members is no record; "
                "choose a larger one"
            )
        return np.sort(rng.permutation(records)[:count])
