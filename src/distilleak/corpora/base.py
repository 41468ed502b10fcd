"""What a corpus is: a module with `Parameters`, and `passages(parameters)` that yields passages."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """One passage of text.

    Attributes:
        text: the passage.
        source: the document it is from, such as a file name; may be empty.
        date: ISO date or year of the document; may be empty.
    """

    text: str
    source: str
    date: str
