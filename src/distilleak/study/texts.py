"""Checks of the user's texts when a study is planned, before anything is trained."""

import os
from collections import Counter
from collections.abc import Iterator

from distilleak.corpora import local
from distilleak.corpora.base import MEMBER, NONMEMBER, Passage
from distilleak.errors import DistilleakError
from distilleak.settings.pools import PoolSettings
from distilleak.study.corpora import Corpus

SMALL = 2**24
"""Bytes of texts that are read within a moment."""


def check(corpus: Corpus) -> None:
    """Check that the user's files have the columns, and small ones as many passages as the pools
    need.

    Of large files only the first row is read. Copies are not removed, so that there may still turn
    out to be too few passages, and documents are not counted.

    Raises:
        DistilleakError: a file is missing, damaged or lacks a column, there are too few passages,
            or whole documents are to be drawn and the first passage of a file names none.
    """
    parameters = corpus.entry.parameters
    if not isinstance(parameters, local.Parameters):
        return
    files = local.files(parameters)
    for file in files:
        first = next(local.passages(parameters.model_copy(update={"path": file})), None)
        if corpus.pools.by == "source" and first is not None and not first.source:
            raise DistilleakError(
                f"{file}: the first passage has no source, but {corpus.pools_key}.by is `source`; "
                "name the column that says which document each passage is from (source_column), or "
                "use `by: passage`"
            )
    if sum(map(os.path.getsize, files)) > SMALL:
        return
    wanted = _wanted(corpus.pools)
    found = _count(local.passages(parameters), wanted)
    for label, (wish, count) in wanted.items():
        if found[label] < count:
            of = f" labelled {label}" if label else ""
            raise DistilleakError(
                f"{corpus.pools_key}: {wish} = {count} records, but the corpus has only "
                f"{found[label]} passages{of}"
            )


def _wanted(pools: PoolSettings) -> dict[str, tuple[str, int]]:
    """Label, empty for any -> the pools that need such passages, and how many they need."""
    sizes = pools.sizes()
    members = [pool for pool in sizes if pool in ("member", "shown")]
    others = [pool for pool in sizes if pool not in members]
    groups = (
        {MEMBER: members, NONMEMBER: others} if pools.assignment == "labels" else {"": [*sizes]}
    )
    # Of a fraction, each pool needs at least one.
    counts = {pool: size if isinstance(size, int) else 1 for pool, size in sizes.items()}
    return {
        label: (
            " + ".join(f"{counts[pool]} {pool}" for pool in names),
            sum(counts[pool] for pool in names),
        )
        for label, names in groups.items()
    }


def _count(passages: Iterator[Passage], wanted: dict[str, tuple[str, int]]) -> Counter[str]:
    """Passages per label, or all of them, until there are enough."""
    found: Counter[str] = Counter()
    for passage in passages:
        found["" if "" in wanted else passage.label] += 1
        if all(found[label] >= count for label, (_, count) in wanted.items()):
            break
    return found
