"""How the passages are drawn into pools."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from distilleak.errors import DistilleakError
from distilleak.settings.base import Settings

ROUNDING = 1e-9
"""0.29 of 100 passages are 29, though the product of the two numbers falls short of it."""


def _number(value: Any) -> Any:
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        raise PydanticCustomError("size", "should be a count, such as 1000, or a fraction below 1")
    return value


Size = Annotated[int | float, BeforeValidator(_number)]
OPTIONAL = ("population", "shown", "public")
"""Pools that a study may do without."""


class PoolSettings(Settings):
    """Pool sizes: counts of records, or fractions of all passages that sum to 1; and who decides
    which passage is in which pool."""

    member: Size = Field(gt=0)
    """Trains the teacher and is the distillation set."""
    nonmember: Size = Field(gt=0)
    """The other half of the evaluation; nobody looks at it before."""
    holdout: Size = Field(gt=0)
    """The defender's: validation loss, utility, non-members that calibrate vulnerability."""
    auxiliary: Size = Field(gt=0)
    """The attacker's: tokenizer, reference models, prefixes."""
    population: Size = Field(default=0, ge=0)
    """The attacker's: records that no model trains on, which `attack_p` and `rmia` compare with."""
    shown: Size = Field(default=0, ge=0)
    """Members that the attacker knows: trained on like the others and never evaluated; the prefix
    of `con_recall` is made of them."""

    public: Size = Field(default=0, ge=0)
    """What students of the method `public` learn from instead of members; nobody else sees it."""
    assignment: Literal["random", "labels"] = "random"
    """`random`: one seeded draw over all passages. `labels`: members are drawn from the passages
    that the corpus labels members and the three other pools from those that it labels non-members,
    for models whose training data are known; the sizes are then counts."""
    design: Literal["paired", "factorial"] = "paired"
    """`paired`: students learn from the teacher's members. `factorial`: from a random half of the
    members and a random half of the non-members, so that what leaks through the teacher can be told
    from what leaks through a student's own data; `nonmember` then means not the teacher's."""

    @model_validator(mode="after")
    def _one_kind(self) -> "PoolSettings":
        sizes = self.sizes()
        fractions = [isinstance(size, float) for size in sizes.values()]
        if any(fractions) and not all(fractions):
            raise ValueError(f"give counts or fractions, not a mixture of both: {sizes}")
        if self.assignment == "labels" and any(fractions):
            raise ValueError(f"with assignment: labels give counts, not fractions: {sizes}")
        if all(fractions) and abs(sum(sizes.values()) - 1) > ROUNDING:
            raise ValueError(
                f"the fractions sum to {sum(sizes.values()):g}, they must sum to 1 "
                "(counts are written without a point)"
            )
        return self

    def sizes(self) -> dict[str, int | float]:
        """Pool -> its size as given, in the order in which the pools are drawn; none is empty."""
        given = self.model_dump(exclude={"assignment", "design"})
        return {pool: size for pool, size in given.items() if size or pool not in OPTIONAL}

    def counts(self, passages: int) -> dict[str, int]:
        """Records per pool, in the order in which they are drawn.

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
                f"pools.{empty[0]}: {sizes[empty[0]]:g} of {passages} passages is no record at all"
            )
        return counts
