"""Which count models a study has."""

from collections.abc import Mapping
from dataclasses import dataclass

_NAMES = {1: "unigram", 2: "bigram", 3: "trigram"}


@dataclass(frozen=True)
class Floor:
    """One count model.

    Attributes:
        order: tokens of its longest n-grams.
        members: whether it counts the members, too, besides the attacker's public text.
    """

    order: int
    members: bool

    @property
    def name(self) -> str:
        """As files and tables name it."""
        return f"{_NAMES[self.order]}_of_members" if self.members else _NAMES[self.order]

    @property
    def label(self) -> str:
        """As people read it."""
        text = "public text and members" if self.members else "public text"
        return f"{_NAMES[self.order]} of {text}"


FLOORS = {
    floor.name: floor
    for floor in (Floor(order, members) for members in (False, True) for order in _NAMES)
}
"""Name -> count model, in the order in which tables show them."""
UNIFORM = "uniform"
"""What everybody has without any counting: all tokens equally likely."""
USELESS = "bigram"
"""The floor above which a language model is of no use: it knows less than pairs of words say."""
WEAK = "trigram"
"""The floor above which a model is marked."""


def worse_than(loss: float, floors: Mapping[str, float]) -> str:
    """`USELESS` or `WEAK`, the first of the two that predicts better than a model, or empty.

    Args:
        loss: held-out loss of the model.
        floors: count model -> its held-out loss; empty where there is none to compare with.
    """
    return next((name for name in (USELESS, WEAK) if loss > floors.get(name, loss)), "")
