"""Which passages of a corpus a study uses."""

import difflib
from collections.abc import Sequence

from distilleak.corpora.base import Passage
from distilleak.errors import DistilleakError
from distilleak.settings.conditions import ConditionSettings


def chosen(passages: Sequence[Passage], only: ConditionSettings) -> list[int]:
    """Positions of the passages that meet the conditions `only`.

    Raises:
        DistilleakError: none does, or the corpus has none of a document that they name.
    """
    known = {each.source for each in passages}
    absent = next((name for name in only.sources or () if name not in known), None)
    if absent is not None:
        # All of them may be thousands.
        near = difflib.get_close_matches(absent, known, n=1) or sorted(known)[:1]
        raise DistilleakError(
            f"corpus: only.sources: no passage is from {absent!r}; the corpus has {len(known)} "
            f"documents, such as {near[0]!r}"
        )
    found = [row for row, each in enumerate(passages) if only.met(each.source, each.date)]
    if not found:
        dates = sorted(passage.date for passage in passages if passage.date)
        span = f"its passages are from {dates[0]} to {dates[-1]}" if dates else "it has no dates"
        given = only.model_dump(exclude_none=True)
        raise DistilleakError(f"corpus: no passage meets the conditions of `only`, {given}; {span}")
    return found
