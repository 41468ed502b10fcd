"""Which passages of a corpus a study uses."""

from collections.abc import Sequence

from distilleak.corpora.base import Passage
from distilleak.errors import DistilleakError
from distilleak.settings.conditions import ConditionSettings


def chosen(passages: Sequence[Passage], only: ConditionSettings) -> list[int]:
    """Positions of the passages that meet the conditions `only`.

    Raises:
        DistilleakError: none does.
    """
    found = [row for row, each in enumerate(passages) if only.met(each.source, each.date)]
    if not found:
        dates = sorted(passage.date for passage in passages if passage.date)
        span = f"its passages are from {dates[0]} to {dates[-1]}" if dates else "it has no dates"
        given = only.model_dump(exclude_none=True)
        raise DistilleakError(f"corpus: no passage meets the conditions of `only`, {given}; {span}")
    return found
