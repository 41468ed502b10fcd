"""nonvulnerable: distil on the members that the attack on the teacher does not identify.

`readmit` adds back a share of the vulnerable members. `select: vulnerable` is the reverse mix of
arXiv 2505.11837: the vulnerable members, and a share `admix` of the others.
"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from distilleak.errors import DistilleakError
from distilleak.methods.base import DistillationParameters, DistillationSet, PlainDistillation


class Parameters(DistillationParameters):
    """Which side to train on, and how much of the other side to add."""

    select: Literal["nonvulnerable", "vulnerable"] = "nonvulnerable"
    """The side whose records are all taken."""
    readmit: float = Field(default=0.0, ge=0, le=1)
    """Share of the vulnerable members added back, with `select: nonvulnerable`."""
    admix: float = Field(default=0.0, ge=0, le=1)
    """Share of the other members added, with `select: vulnerable`."""

    @model_validator(mode="after")
    def _one_share(self) -> "Parameters":
        unused = "admix" if self.select == "nonvulnerable" else "readmit"
        if getattr(self, unused):
            raise ValueError(f"{unused} has no effect with select: {self.select}")
        return self


class Method(PlainDistillation[Parameters]):
    """Only the records differ from plain distillation."""

    needs_vulnerability: bool = True
    changes: ClassVar[str] = "the records"

    def select(self, members: DistillationSet, rng: np.random.Generator) -> NDArray[np.int64]:
        """All records of the chosen side and a random share of the other, rounded to a count."""
        keep = members.vulnerable == (self.parameters.select == "vulnerable")
        share = self.parameters.readmit or self.parameters.admix
        others = rng.permutation(np.flatnonzero(~keep))
        chosen = np.sort(
            np.concatenate([np.flatnonzero(keep), others[: round(share * len(others))]])
        )
        if not len(chosen):
            raise DistilleakError(
                f"nonvulnerable: no member is {self.parameters.select}, so none is left to train "
                "on; change vulnerability.fpr or add a share of the other members"
            )
        return chosen
