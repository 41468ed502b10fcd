"""Command lines of stages."""

from collections.abc import Sequence


def as_words(**given: object) -> list[str]:
    """The words of these options; a list or tuple gives an option several words."""
    words = []
    for name, value in given.items():
        several = isinstance(value, Sequence) and not isinstance(value, str)
        values = value if several else [value]
        words += [f"--{name.replace('_', '-')}", *map(str, values)]  # type: ignore[call-overload]
    return words
