"""How the passages are drawn into pools."""

from pydantic import Field, model_validator

from distilleak.errors import DistilleakError
from distilleak.settings.base import Settings

Size = int | float


class PoolSettings(Settings):
    """Pool sizes: either four counts of records, or four fractions of all passages that sum to 1."""

    member: Size = Field(gt=0)
    """Trains the teacher and is the distillation set."""
    nonmember: Size = Field(gt=0)
    """The other half of the evaluation; nobody looks at it before."""
    holdout: Size = Field(gt=0)
    """The defender's: validation loss, utility, non-members that calibrate vulnerability."""
    auxiliary: Size = Field(gt=0)
    """The attacker's: tokenizer, reference models, prefixes."""

    @model_validator(mode="after")
    def _one_kind(self) -> "PoolSettings":
        sizes = self.model_dump()
        fractions = [isinstance(size, float) for size in sizes.values()]
        if any(fractions) and not all(fractions):
            raise ValueError(f"give four counts or four fractions, not a mixture of both: {sizes}")
        if all(fractions) and abs(sum(sizes.values()) - 1) > 1e-9:
            raise ValueError(f"the four fractions sum to {sum(sizes.values()):g}, they must sum to 1")
        return self

    def counts(self, passages: int) -> dict[str, int]:
        """Records per pool, in the order in which they are drawn.

        Raises:
            DistilleakError: the pools need more records than there are passages, or one is empty.
        """
        sizes = self.model_dump()
        counts = {
            pool: int(size * passages) if isinstance(size, float) else size
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
