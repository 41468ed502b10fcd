"""What a corpus is: a module of this package named after it. It defines

* `Parameters`: its settings, a section of the configuration;
* `files(parameters)`: the user's files that it reads; when one changes, the workflow reads again;
* `passages(parameters)`: an iterator over its `Passage`s, always in the same order.
"""

from dataclasses import dataclass

MEMBER = "member"
NONMEMBER = "nonmember"


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of text.

    Attributes:
        text: the passage.
        source: the document that it is from, such as a file name; may be empty.
        date: ISO date or year of the document; may be empty.
        label: whether it is known to be in some model's training data: `MEMBER`, `NONMEMBER`, or
            empty if the corpus does not label it.
    """

    text: str
    source: str
    date: str
    label: str = ""
