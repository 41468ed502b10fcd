"""The texts of an audit: what the teacher was trained on, and what it was not."""

import os
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pyarrow as pa

from distilleak.audit.configuration import AuditTexts
from distilleak.corpora import local
from distilleak.corpora.base import MEMBER, NONMEMBER, Passage
from distilleak.errors import DistilleakError
from distilleak.records.deduplication import distinct_first
from distilleak.settings.deduplication import DeduplicationSettings

SIDES = {"members": "member", "nonmembers": "nonmember", "auxiliary": "auxiliary"}
"""Key of `audit` -> how its texts are called."""
SMALL = 2**24
"""Bytes of texts that are read within a moment."""
FEWEST = 10
"""Texts on each side below which nothing can be cross-fitted, nor the blind gate asked."""
_SHOWN = 5
"""Numbers of texts that a message names."""


def files(given: AuditTexts) -> list[str]:
    """The files of all sides.

    Raises:
        DistilleakError: one is missing; the message names its key.
    """
    found = []
    for side, parameters in _given(given).items():
        with _naming(side):
            found += local.files(parameters)
        for file in found:
            if not os.path.isfile(file):
                raise DistilleakError(f"audit.{side}: {file}: no such file")
    return found


def read(given: AuditTexts) -> dict[str, list[Passage]]:
    """Side -> its passages, in the order of the files.

    Raises:
        DistilleakError: a file is missing, damaged or lacks a column, there are too few texts, or
            a text is on two sides.
    """
    found = {}
    for side, parameters in _given(given).items():
        with _naming(side):
            found[side] = list(local.passages(parameters))
        if len(found[side]) < FEWEST:
            raise DistilleakError(
                f"audit.{side}: {_name(parameters)}: {len(found[side])} texts; an audit needs at "
                f"least {FEWEST} on each side, and some hundreds to decide anything"
            )
    _refuse_shared(found, given)
    return found


def check(given: AuditTexts) -> None:
    """Check the texts before anything runs: small files completely, of large ones the first row.

    Raises:
        DistilleakError: as `read`.
    """
    if sum(map(os.path.getsize, files(given))) <= SMALL:
        read(given)
        return
    for side, parameters in _given(given).items():
        with _naming(side):
            next(local.passages(parameters), None)


def distinct(
    found: dict[str, list[Passage]], settings: DeduplicationSettings
) -> tuple[pa.Table, pa.Table, dict[str, int]]:
    """Passages and their split, without copies, and how many copies of each side were left out.

    Near copies of a member are no non-members, so members are kept in any case. Half of the
    auxiliary texts is the population, which attacks compare with.

    Raises:
        DistilleakError: too few texts of a side are left.
    """
    rows = [
        (f"{SIDES[side]}-{number:0{len(str(len(passages)))}d}", side, passage)
        for side, passages in found.items()
        for number, passage in enumerate(passages, start=1)
    ]
    first = [side == "members" for _, side, _ in rows]
    kept = set(distinct_first([passage.text for *_, passage in rows], first, settings))
    removed = {
        side: sum(one == side and row not in kept for row, (_, one, _) in enumerate(rows))
        for side in found
    }
    for side, passages in found.items():
        if len(passages) - removed[side] < FEWEST:
            raise DistilleakError(
                f"audit.{side}: {removed[side]} of {len(passages)} texts are copies of others, "
                f"near ones included; fewer than {FEWEST} are left"
            )
    rows = sorted((row for number, row in enumerate(rows) if number in kept), key=lambda r: r[0])
    sides = [side for _, side, _ in rows]
    pool = np.array([SIDES[side] for side in sides], dtype=object)
    others = np.flatnonzero(pool == "auxiliary")
    pool[others[1::2]] = "population"
    member = [side == "members" for side in sides]
    common = {
        "source": [passage.source for *_, passage in rows],
        "date": [passage.date for *_, passage in rows],
    }
    ids = [record for record, *_ in rows]
    texts = {
        "passage_id": ids,
        **common,
        "text": [passage.text for *_, passage in rows],
        "label": [MEMBER if own else NONMEMBER for own in member],
    }
    split = {
        "record_id": ids,
        "pool": pool.tolist(),
        "teacher_member": member,
        "student_member": member,
        **common,
    }
    return pa.table(texts), pa.table(split), removed


def _given(given: AuditTexts) -> dict[str, local.Parameters]:
    found = {side: getattr(given, side) for side in SIDES}
    return {side: parameters for side, parameters in found.items() if parameters is not None}


def _refuse_shared(found: dict[str, list[Passage]], given: AuditTexts) -> None:
    """Refuse texts that stand on two sides: they would be members and non-members at once."""
    seen: dict[str, tuple[str, int]] = {}
    for side, passages in found.items():
        shared: dict[str, list[tuple[int, int]]] = {}
        for number, passage in enumerate(passages, start=1):
            text = " ".join(passage.text.split())
            other, where = seen.setdefault(text, (side, number))
            if other != side:
                shared.setdefault(other, []).append((where, number))
        for other, pairs in shared.items():
            one, two = (_numbers([pair[place] for pair in pairs]) for place in (0, 1))
            raise DistilleakError(
                f"audit.{side}: {_name(getattr(given, side))}: {len(pairs)} of its texts stand in "
                f"audit.{other} ({_name(getattr(given, other))}), too: numbers {two} here, {one} "
                "there; a text can be on one side only"
            )


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in islice(numbers, _SHOWN))
    more = len(numbers) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _name(parameters: local.Parameters) -> str:
    return ", ".join([parameters.path] if isinstance(parameters.path, str) else parameters.path)


class _naming:  # noqa: N801
    """Errors about a corpus that is read inside name the key of the audit."""

    def __init__(self, side: str) -> None:
        self.side = side

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DistilleakError):
            said = str(error).removeprefix("corpus.")
            place = "." if said != str(error) else ": "
            raise DistilleakError(f"audit.{self.side}{place}{said}") from error
