"""How the passages are drawn into pools."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from distilleak.errors import DistilleakError
from distilleak.settings.base import Settings

ROUNDING = 1e-9
"""0.29 of 100 passages is 29, although the floating-point product falls just short of it."""


def _number(value: Any) -> Any:
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        raise PydanticCustomError("size", "should be a count, such as 1000, or a fraction below 1")
    return value


Size = Annotated[
    int | float,
    BeforeValidator(_number),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 10**9}),
]
OPTIONAL = ("population", "shown", "public")
"""Pools that a study can do without."""


class PoolSettings(Settings):
    """Pool sizes, as counts of records or as fractions of all passages that sum to 1, and how
    passages are assigned to pools."""

    member: Size = Field(gt=0, le=10**9)
    """The teacher trains on it, and it is the distillation set."""
    nonmember: Size = Field(gt=0, le=10**9)
    """The other half of the evaluation; nothing uses it before that."""
    holdout: Size = Field(gt=0, le=10**9)
    """The defender's: validation loss, utility, and non-members for calibrating vulnerability."""
    auxiliary: Size = Field(gt=0, le=10**9)
    """The attacker's: tokenizer, reference models, prefixes."""
    population: Size = Field(default=0, ge=0, le=10**9)
    """The attacker's: records that no model trains on, a baseline for `attack_p` and `rmia`."""
    shown: Size = Field(default=0, ge=0, le=10**9)
    """Members that the attacker knows. They are trained on like the others but never evaluated, and
    form the prefix of `con_recall`."""

    public: Size = Field(default=0, ge=0, le=10**9)
    """What students of the method `public` learn from instead of members; nothing else uses it."""
    assignment: Literal["random", "labels"] = "random"
    """`random`: one seeded draw over all passages. `labels`: members are drawn from the passages
    that the corpus labels as members, the three other pools from those that it labels as
    non-members; for models whose training data are known. The sizes must then be counts."""
    by: Literal["passage", "source"] = "passage"
    """What is drawn. `passage`: each on its own, so that passages of one document may be members
    and non-members. `source`: whole documents, so that no two pools share one; what a pool does
    not need of its last document is left out. The sizes must then be counts."""
    design: Literal["paired", "factorial"] = "paired"
    """`paired`: students learn from the teacher's members. `factorial`: they learn from a random
    half of the members and a random half of the non-members, so that what leaks through the teacher
    can be distinguished from what leaks through a student's own data; `nonmember` then means that
    the teacher did not train on the record."""

    @model_validator(mode="after")
    def _one_kind(self) -> "PoolSettings":
        sizes = self.sizes()
        fractions = [isinstance(size, float) for size in sizes.values()]
        if any(fractions) and not all(fractions):
            raise ValueError(f"give counts or fractions, not a mixture of both: {sizes}")
        if self.assignment == "labels" and any(fractions):
            raise ValueError(f"assignment: labels needs counts, not fractions: {sizes}")
        if self.by == "source" and any(fractions):
            raise ValueError(f"by: source needs counts, not fractions: {sizes}")
        if self.by == "source" and self.assignment == "labels":
            raise ValueError(
                "by: source needs assignment: random; labels belong to passages, and a document "
                "may have passages of both kinds"
            )
        if all(fractions) and abs(sum(sizes.values()) - 1) > ROUNDING:
            raise ValueError(
                f"the fractions sum to {sum(sizes.values()):g}, they must sum to 1 "
                "(write counts without a decimal point)"
            )
        return self

    def sizes(self) -> dict[str, int | float]:
        """The size of each pool as given, in drawing order; empty optional pools are left out."""
        given = self.model_dump(exclude={"assignment", "by", "design"})
        return {pool: size for pool, size in given.items() if size or pool not in OPTIONAL}

    def counts(self, passages: int) -> dict[str, int]:
        """Records per pool, in drawing order.

        Raises:
            DistilleakError: the pools need more records than there are passages, or one is empty.
        """
        sizes = self.sizes()
        counts = {
            pool: math.floor(size * passages + ROUNDING) if isinstance(size, float) else size
            for pool, size in sizes.items()
        }
        if sum(counts.values()) > passages:
            wanted = " + ".join(f"{count} {pool}" for pool, count in counts.items())
            raise DistilleakError(
                f"pools: {wanted} = {sum(counts.values())} records, but the corpus has only "
                f"{passages} passages after deduplication"
            )
        empty = [pool for pool, count in counts.items() if count == 0]
        if empty:
            raise DistilleakError(
                f"pools.{empty[0]}: {sizes[empty[0]]:g} of {passages} passages gives no record"
            )
        return counts
