"""How a model reads a record: the tokens that are not part of its text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Framing:
    """How a model reads a record.

    Causal: `start`, then the record; every token is predicted from those before it. Masked:
    `start`, the record, `end`; chosen tokens are hidden behind `mask` and predicted from the rest.

    Attributes:
        start: token before every record: beginning of text, or the classification token.
        end: token after every record; None for a causal model.
        mask: token that hides another; None for a causal model.
    """

    start: int
    end: int | None = None
    mask: int | None = None

    @property
    def masked(self) -> bool:
        return self.mask is not None

    @property
    def separator(self) -> int:
        """The token between two texts in one row."""
        return self.start if self.end is None else self.end

    @property
    def added(self) -> int:
        """Positions that a sequence needs besides prefix and record."""
        return 1 + (self.end is not None)
